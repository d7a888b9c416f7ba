//go:build linux || darwin || freebsd

package browsertest

import (
	"os/exec"
	"syscall"
)

// ownGroup makes c and its children a group of processes.
func ownGroup(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup kills c and its children. That they have ended already is no error.
func endGroup(c *exec.Cmd) {
	syscall.Kill(-c.Process.Pid, syscall.SIGKILL) //nolint:errcheck // see above
}
