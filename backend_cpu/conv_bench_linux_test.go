package cpu

import (
	"syscall"
	"time"
	"unsafe"
)

// threadTime is the CPU time of the calling thread: what a benchmark of one
// worker would take on an idle machine.
func threadTime() time.Duration {
	const threadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var t syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&t)), 0) // it cannot fail
	return time.Duration(t.Nano())
}
