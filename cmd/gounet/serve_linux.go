package main

import (
	"runtime"
	"syscall"
)

// computeNice is the niceness of a thread that runs kernels: a request that comes
// takes the processor from it at once.
const computeNice = 10

// yieldToRequests lowers the priority of the goroutine that calls it, which keeps its
// thread for that. It is one of those that a device computes with: requests need a
// processor, not all.
func yieldToRequests() {
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, computeNice) // 0: this thread. Where it is forbidden requests wait longer
}
