//go:build !linux && !darwin

package machine

import "errors"

// CPU is empty: this system is not asked.
func CPU() string { return "" }

// MainMemory is unknown on this system.
func MainMemory() Memory { return Memory{} }

// DiskFree is unknown on this system.
func DiskFree(string) (int64, error) { return 0, errors.ErrUnsupported }
