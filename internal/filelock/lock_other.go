//go:build !(linux || darwin || freebsd)

package filelock

import (
	"errors"
	"os"
)

// lock does nothing here.
func lock(*os.File) error { return errors.ErrUnsupported }
