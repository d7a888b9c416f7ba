//go:build !linux

package main

// yieldToRequests does nothing: niceness is a process's here, not a thread's.
func yieldToRequests() {}
