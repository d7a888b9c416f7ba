// Package machine says what the computer is that the program runs on: the name
// and features of its CPU, memory and disk space. It decides nothing.
package machine

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

// Memory is main memory in bytes; zero where the system does not say.
type Memory struct {
	Total     int64 // of the machine, or of the container if that is less
	Available int64 // to be had without swapping
}

// Feature is an instruction set that kernels care about.
type Feature struct {
	Name string
	Has  bool
}

// Features lists the instruction sets that decide which kernels run, in the
// order of their use, for the architecture of this binary.
func Features() []Feature {
	switch runtime.GOARCH {
	case "amd64":
		return []Feature{
			{"avx2", cpu.X86.HasAVX2},
			{"fma", cpu.X86.HasFMA},
			{"avx512", cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL},
			{"avx512_bf16", cpu.X86.HasAVX512BF16},
			{"amx_bf16", cpu.X86.HasAMXTile && cpu.X86.HasAMXBF16},
		}
	case "arm64":
		return []Feature{
			{"asimd", cpu.ARM64.HasASIMD},
			{"asimdhp", cpu.ARM64.HasASIMDHP},
			{"sve", cpu.ARM64.HasSVE},
		}
	}
	return nil
}
