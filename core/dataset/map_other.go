//go:build !(linux || darwin || freebsd)

package dataset

import "os"

// mapFile reads a file whole where files cannot be mapped.
func mapFile(path string) (data []byte, unmap func() error, err error) {
	data, err = os.ReadFile(path)
	return data, func() error { return nil }, err
}
