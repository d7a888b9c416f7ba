package machine

import (
	"os"

	"golang.org/x/sys/unix"
)

// CPU is the name of the processor.
func CPU() string {
	name, err := unix.Sysctl("machdep.cpu.brand_string")
	if err != nil {
		return ""
	}
	return name
}

// MainMemory is what the kernel says; it does not tell what is available.
func MainMemory() Memory {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return Memory{}
	}
	return Memory{Total: int64(n)}
}

// DiskFree is the bytes that this user can still write below folder.
func DiskFree(folder string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: folder, Err: err}
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
