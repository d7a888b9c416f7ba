//go:build unix

package blob

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// alive says whether a process may still be there.
func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// freeBytes are those of the disk that a folder is on, if its file system says so.
func freeBytes(dir string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:unconvert // no int64 on other systems
}
