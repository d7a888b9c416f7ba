//go:build !linux && !darwin && !freebsd

package browsertest

import "os/exec"

func ownGroup(*exec.Cmd) {}

// endGroup kills c. Its children, which belong to it alone, end with it.
func endGroup(c *exec.Cmd) {
	c.Process.Kill() //nolint:errcheck // it may have ended already
}
