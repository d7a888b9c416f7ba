//go:build !cuda || !linux

package cuda

import (
	"fmt"

	"github.com/gounet/gounet/core/backend"
)

// Built tells whether this program has the backend.
const Built = false

// Open says that the program does not have this backend.
func Open(Options) (backend.Device, error) {
	return nil, fmt.Errorf("cuda: %w: this program was built without CUDA: build it on Linux with make build", ErrNoDevice)
}

// Libraries finds none: a program without the backend does not look.
func Libraries() []Library { return nil }

// GPUs finds none.
func GPUs() ([]GPU, error) { return nil, ErrNoDevice }

// Together says that the program does not have this backend.
func Together(int) error {
	_, err := Open(Options{})
	return err
}
