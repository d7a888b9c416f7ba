package cpu

import "golang.org/x/sys/cpu"

// isas are the kernels that this processor can run, the fastest first.
func isas() []*isa {
	var list []*isa
	x := cpu.X86
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		list = append(list, &kernels512)
	}
	// No processor has AVX2 and FMA without F16C, which cpu does not report.
	if x.HasAVX2 && x.HasFMA {
		list = append(list, &kernels256)
	}
	return append(list, &plainGo)
}
