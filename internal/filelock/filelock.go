// Package filelock lets one process at a time have a folder, by a lock on a file
// in it. The system gives the lock back when the process ends, however it ends.
package filelock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// HeldError says that another process has the lock.
type HeldError struct {
	PID int // 0: it has not written its number yet
}

func (e *HeldError) Error() string { return fmt.Sprintf("process %d has the lock", e.PID) }

// errHeld is what lock returns where another has the lock.
var errHeld = errors.New("locked")

// Take locks the file at path, which it creates, and writes the number of this
// process into it. Without waiting, a lock of another is a *HeldError. Where files
// cannot be locked (other systems than Unix, some network file systems) nothing is
// held. release gives the lock back; the file stays.
func Take(path string) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	switch err := lock(f); {
	case errors.Is(err, errHeld):
		b, _ := io.ReadAll(io.LimitReader(f, 20)) // the number is a help only
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		return nil, errors.Join(&HeldError{PID: pid}, f.Close())
	case err != nil && !errors.Is(err, errors.ErrUnsupported):
		return nil, errors.Join(fmt.Errorf("%s: lock: %w", path, err), f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
