sub rsp,0x28
mov rax,QWORD PTR [rdi+0x8]
mov rcx,rax
sub rcx,rsi
jb
add rsi,QWORD PTR [rdi]
movups xmm0,XMMWORD PTR [rdi+0x10]
mov QWORD PTR [rdx],rsi
mov QWORD PTR [rdx+0x8],rcx
movups XMMWORD PTR [rdx+0x10],xmm0
add rsp,0x28
ret
