package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gounet/gounet/internal/filelock"
)

// LockFile is the file in a run folder that a training locks while it goes on.
const LockFile = "lock"

// TakeFolder makes the folder and this process its only writer, until release. A
// training that writes there is an error.
func TakeFolder(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	release, err = filelock.Take(filepath.Join(dir, LockFile))
	var held *filelock.HeldError
	if errors.As(err, &held) {
		return nil, fmt.Errorf("%s: another training (process %d) writes here: wait for it, or train into another folder", dir, held.PID)
	}
	return release, err
}
