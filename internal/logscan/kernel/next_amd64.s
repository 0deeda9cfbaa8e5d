#include "textflag.h"

// Three bytes of every anchor, those at p, p+2 and p+3, are looked up in tables
// by their halves: each table gives a bit for each anchor that may have that
// half there, and what has its bit in all five is worth a look.
//   bit 0  aadsts     d?ts, p is two behind its start
//   bit 1  _client    _?li
//   bit 2  _codes     _?od
//   bit 3  [no body]  [?o and a space
//   bit 4  Q~, Q%7E   any, ?, Q, ~ or %, p is two before the Q
//   bit 5  7000xxx    7?00
// Of the first byte the lower half is enough. A byte above 127 has no bit.

DATA place<>+0(SB)/8, $0x3010101110101010
DATA place<>+8(SB)/8, $0x1610101018101010
DATA place<>+16(SB)/8, $0x3010101110101010
DATA place<>+24(SB)/8, $0x1610101018101010
GLOBL place<>(SB), RODATA|NOPTR, $32
DATA low2<>+0(SB)/8, $0x0000000100001020
DATA low2<>+8(SB)/8, $0x0c00000200000000
DATA low2<>+16(SB)/8, $0x0000000100001020
DATA low2<>+24(SB)/8, $0x0c00000200000000
GLOBL low2<>(SB), RODATA|NOPTR, $32
DATA high2<>+0(SB)/8, $0x010e110e20000000
DATA high2<>+8(SB)/8, $0x0000000000000000
DATA high2<>+16(SB)/8, $0x010e110e20000000
DATA high2<>+24(SB)/8, $0x0000000000000000
GLOBL high2<>(SB), RODATA|NOPTR, $32
DATA low3<>+0(SB)/8, $0x0000100401000028
DATA low3<>+8(SB)/8, $0x0010000000000200
DATA low3<>+16(SB)/8, $0x0000100401000028
DATA low3<>+24(SB)/8, $0x0010000000000200
GLOBL low3<>(SB), RODATA|NOPTR, $32
DATA high3<>+0(SB)/8, $0x1106010620180000
DATA high3<>+8(SB)/8, $0x0000000000000000
DATA high3<>+16(SB)/8, $0x1106010620180000
DATA high3<>+24(SB)/8, $0x0000000000000000
GLOBL high3<>(SB), RODATA|NOPTR, $32
DATA half<>+0(SB)/8, $0x0f0f0f0f0f0f0f0f
DATA half<>+8(SB)/8, $0x0f0f0f0f0f0f0f0f
DATA half<>+16(SB)/8, $0x0f0f0f0f0f0f0f0f
DATA half<>+24(SB)/8, $0x0f0f0f0f0f0f0f0f
GLOBL half<>(SB), RODATA|NOPTR, $32

// MATCH sets OUT to the bits of the 32 places from OFF+(SI)(AX*1).
#define MATCH(OFF, OUT, A, B, C) \
	VMOVDQU OFF+2(SI)(AX*1), A       \
	VMOVDQU OFF+3(SI)(AX*1), B       \
	VPSHUFB OFF+0(SI)(AX*1), Y0, OUT \
	VPSHUFB A, Y1, C                 \
	VPAND   C, OUT, OUT              \
	VPSHUFB B, Y3, C                 \
	VPAND   C, OUT, OUT              \
	VPSRLW  $4, A, A                 \
	VPAND   Y5, A, A                 \
	VPSHUFB A, Y2, A                 \
	VPAND   A, OUT, OUT              \
	VPSRLW  $4, B, B                 \
	VPAND   Y5, B, B                 \
	VPSHUFB B, Y4, B                 \
	VPAND   B, OUT, OUT

// func nextAVX2(p *byte, n int) (at int, mask uint64)
TEXT ·nextAVX2(SB), NOSPLIT, $0-32
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	XORQ AX, AX
	XORQ DX, DX
	VMOVDQU place<>(SB), Y0
	VMOVDQU low2<>(SB), Y1
	VMOVDQU high2<>(SB), Y2
	VMOVDQU low3<>(SB), Y3
	VMOVDQU high3<>(SB), Y4
	VMOVDQU half<>(SB), Y5

loop:
	CMPQ AX, CX
	JGE  done
	MATCH(0, Y8, Y9, Y10, Y11)
	MATCH(32, Y12, Y13, Y14, Y15)
	VPOR   Y8, Y12, Y6
	VPTEST Y6, Y6
	JNE    found
	ADDQ   $64, AX
	JMP    loop

found:
	VPXOR     Y6, Y6, Y6
	VPCMPEQB  Y6, Y8, Y8
	VPCMPEQB  Y6, Y12, Y12
	VPMOVMSKB Y8, DX
	VPMOVMSKB Y12, BX
	SHLQ      $32, BX
	ORQ       BX, DX
	NOTQ      DX

done:
	VZEROUPPER
	MOVQ AX, at+16(FP)
	MOVQ DX, mask+24(FP)
	RET
