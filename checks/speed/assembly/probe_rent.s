push r15
push r14
push rbx
sub rsp,0x30
mov rbx,rsi
mov r14,QWORD PTR [rdi]
lea rdx,[rsi-0x1]
or rdx,0x3f
bsr rcx,rdx
add rcx,0xfffffffffffffffe
shr rdx,cl
add r14,0x10
mov r15,_
mov rax,QWORD PTR fs:[r15]
test rax,rax
je
mov rsi,QWORD PTR [r14]
sub rsi,_
mov QWORD PTR [rax+0x8],0x1
mov rdi,QWORD PTR [rax]
cmp rdi,rsi
jne
mov ecx,ecx
lea rcx,[rdx+rcx*4]
add rcx,0xffffffffffffffed
cmp rcx,0x38
ja
mov rdx,QWORD PTR [rax+rcx*8+0x20]
test rdx,rdx
je
mov rdi,QWORD PTR [rax+0x10]
test rdi,rdi
je
cmp QWORD PTR [rdi+0x90],rcx
jne
mov QWORD PTR [rax+0x10],0x0
jmp
dec rdx
mov QWORD PTR [rax+rcx*8+0x20],rdx
mov rcx,QWORD PTR [rax+0x18]
mov QWORD PTR [rdi+0x18],rcx
mov QWORD PTR [rax+0x8],0x0
jmp
mov rax,QWORD PTR [rdi+0x88]
lea rcx,[rip+_]
mov QWORD PTR [rdi+0x10],rcx
mov QWORD PTR [rsp+0x8],rax
lea rax,[rsp+0x8]
mov rax,QWORD PTR fs:[r15]
test rax,rax
je
mov rcx,QWORD PTR [rdi+0x80]
mov QWORD PTR [rax+0x8],0x1
mov rdx,QWORD PTR [rax]
cmp rdx,rcx
je
mov rcx,QWORD PTR [rax+0x10]
test rcx,rcx
je
mov QWORD PTR [rax+0x10],rdi
mov QWORD PTR [rax+0x8],0x0
jmp
mov al,0x1
add rsp,0x30
pop rbx
pop r14
pop r15
ret
