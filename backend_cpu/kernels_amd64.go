package cpu

import "golang.org/x/sys/cpu"

// kernels512BF16 is AVX-512 with VDPBF16PS for operands in bf16.
var kernels512BF16 = withPairs(kernels512, &kernelsBF16)

// withPairs is s with the kernels of pairs for bf16. It has their name.
func withPairs(s isa, pairs *isa) isa {
	s.name, s.pairs = pairs.name, pairs
	return s
}

func hasAVX512() bool {
	x := cpu.X86
	return x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL
}

// isas are the kernels that this processor can run, the fastest first.
func isas() []*isa {
	var list []*isa
	x := cpu.X86
	if hasAVX512() {
		if x.HasAVX512BF16 {
			list = append(list, &kernels512BF16)
		}
		list = append(list, &kernels512)
	}
	// No processor has AVX2 and FMA without F16C, which cpu does not report.
	if x.HasAVX2 && x.HasFMA {
		list = append(list, &kernels256)
	}
	return append(list, &plainGo)
}
