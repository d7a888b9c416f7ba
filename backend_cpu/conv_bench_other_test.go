//go:build !linux

package cpu

import "time"

var began = time.Now()

// threadTime is the time since the start: the CPU time of a thread is known on
// Linux alone.
func threadTime() time.Duration { return time.Since(began) }
