mov rax,0xffffffffffffffff
cmp rsi,QWORD PTR [rdi+0x8]
jae
mov rax,QWORD PTR [rdi]
movzx eax,BYTE PTR [rax+rsi*1]
ret
