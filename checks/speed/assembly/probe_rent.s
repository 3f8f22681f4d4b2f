push r15
push r14
push rbx
sub rsp,0x30
mov rbx,rsi
mov r14,QWORD PTR [rdi]
lea rax,[rsi-0x1]
or rax,0x3f
bsr rcx,rax
xor rcx,0x3f
shl rax,cl
add r14,0x10
mov r15,_
mov rdx,QWORD PTR fs:[r15]
test rdx,rdx
je
mov rsi,QWORD PTR [r14]
sub rsi,_
mov QWORD PTR [rdx+0x8],0x1
mov rdi,QWORD PTR [rdx]
cmp rdi,rsi
jne
shr rax,0x3d
shl ecx,0x2
sub rax,rcx
lea rsi,[rax+0xe1]
cmp rsi,0x38
ja
mov rcx,QWORD PTR [rdx+rax*8+0x730]
test rcx,rcx
je
mov rdi,QWORD PTR [rdx+0x18]
cmp rdi,rsi
jne
mov QWORD PTR [rdx+0x18],0xffffffffffffffff
mov rdi,QWORD PTR [rdx+0x10]
test rdi,rdi
jne
dec rcx
mov QWORD PTR [rdx+rax*8+0x730],rcx
mov rax,QWORD PTR [rdx+0x20]
mov QWORD PTR [rdi+0x18],rax
mov QWORD PTR [rdx+0x8],0x0
jmp
mov rax,QWORD PTR [rdi+0x48]
lea rcx,[rip+_]
mov QWORD PTR [rdi+0x10],rcx
mov QWORD PTR [rsp+0x8],rax
lea rax,[rsp+0x8]
mov rax,QWORD PTR [rdi+0x40]
cmp rax,QWORD PTR [rip+_]
je
mov rdx,QWORD PTR [rdi+0x50]
mov rsi,QWORD PTR [rdi+0x60]
mov rax,QWORD PTR fs:[r15]
test rax,rax
je
mov QWORD PTR [rax+0x8],0x1
mov rcx,QWORD PTR [rax]
cmp rdx,0x38
ja
cmp rcx,rsi
jne
mov rcx,QWORD PTR [rax+0x18]
cmp rcx,0x38
ja
mov QWORD PTR [rax+0x10],rdi
mov QWORD PTR [rax+0x18],rdx
mov QWORD PTR [rax+0x8],0x0
jmp
mov al,0x1
add rsp,0x30
pop rbx
pop r14
pop r15
ret
