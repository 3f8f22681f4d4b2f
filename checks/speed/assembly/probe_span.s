push r15
push r14
push r13
push r12
push rbx
mov r15,rsi
mov r12,rdi
mov rbx,QWORD PTR [rdi+0x10]
mov r14,QWORD PTR [rdi+0x18]
mov rax,_
mov rax,QWORD PTR fs:[rax]
mov rcx,QWORD PTR [rbx]
cmp rcx,r14
jne
mov rcx,QWORD PTR [rbx+0x8]
cmp rcx,rax
jne
mov rcx,QWORD PTR [rax]
test rcx,rcx
jne
mov QWORD PTR [rax],rbx
mov QWORD PTR [rax+0x8],r14
mov rcx,QWORD PTR [rbx]
cmp rcx,r14
jne
mov r13,0xffffffffffffffff
cmp r15,QWORD PTR [r12+0x8]
jae
mov rcx,QWORD PTR [r12]
movzx r13d,BYTE PTR [rcx+r15*1]
cmp BYTE PTR [rax+0x10],0x0
je
mov QWORD PTR [rax],0x0
mov rax,QWORD PTR [rbx]
cmp rax,r14
jne
mov rax,r13
pop rbx
pop r12
pop r13
pop r14
pop r15
ret
