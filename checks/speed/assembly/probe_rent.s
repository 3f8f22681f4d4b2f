push r15
push r14
push r13
push r12
push rbx
sub rsp,0x30
mov r14,rsi
lea rax,[rsi-0x1]
or rax,0x3f
bsr rcx,rax
add rcx,0xfffffffffffffffe
shr rax,cl
mov r15,QWORD PTR [rdi]
mov r12,_
mov rdi,QWORD PTR fs:[r12]
test rdi,rdi
je
mov ecx,ecx
lea rdx,[rax+rcx*4]
add rdx,0xffffffffffffffed
cmp rdx,0x38
ja
mov rax,QWORD PTR [r15+0x10]
mov r13,QWORD PTR [rdi+0x8]
mov rcx,QWORD PTR [rdi+rdx*8+0x20]
test ecx,ecx
je
sub rax,_
mov rbx,QWORD PTR [rdi+0x10]
test rbx,rbx
je
mov rsi,rdx
shl rsi,0x5
add rsi,rax
mov r8,QWORD PTR [rdi+0x18]
cmp r8,rsi
je
mov QWORD PTR [rdi+0x10],0x0
mov r8,0xffffffffffffffff
add r8,rcx
mov QWORD PTR [rdi+rdx*8+0x20],r8
mov rax,QWORD PTR [rdi]
test rax,rax
je
mov QWORD PTR [rbx+0x18],r13
jmp
mov rax,QWORD PTR [rbx+0x88]
lea rcx,[rip+_]
mov QWORD PTR [rbx+0x10],rcx
mov QWORD PTR [rsp+0x8],rax
lea rax,[rsp+0x8]
mov rdi,QWORD PTR fs:[r12]
test rdi,rdi
je
mov rax,QWORD PTR [rdi+0x18]
cmp rax,QWORD PTR [rbx+0x80]
je
mov rdx,QWORD PTR [rbx+0x90]
mov rax,QWORD PTR [rdi+0x10]
test rax,rax
je
mov QWORD PTR [rdi+0x10],rbx
mov rax,QWORD PTR [rdi]
test rax,rax
jne
mov al,0x1
add rsp,0x30
pop rbx
pop r12
pop r13
pop r14
pop r15
ret
