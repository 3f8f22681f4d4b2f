push r14
push rbx
push rax
mov rbx,QWORD PTR [rdi+0x10]
mov r14,QWORD PTR [rdi+0x18]
mov rax,_
mov rax,QWORD PTR fs:[rax]
mov rcx,QWORD PTR [rbx]
cmp rcx,r14
jne
mov rdx,r14
and rdx,0xfffffffffffffff8
or rdx,0x2
mov al,0x1
cmp rcx,rdx
jne
add rsp,0x8
pop rbx
pop r14
ret
