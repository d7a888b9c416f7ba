package cuda

import (
	"fmt"

	"github.com/ebitengine/purego"
)

// openFirst opens the first library of a list that is there; the error is of the
// first.
func openFirst(paths []string) (handle uintptr, path string, err error) {
	for _, p := range paths {
		h, e := purego.Dlopen(p, purego.RTLD_NOW|purego.RTLD_GLOBAL)
		if e == nil {
			return h, p, nil
		}
		if err == nil {
			err = e
		}
	}
	return 0, "", err
}

// register sets functions by the names of their symbols.
func register(handle uintptr, functions map[string]any) error {
	for name, f := range functions {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return fmt.Errorf("it has no %s", name)
		}
		purego.RegisterFunc(f, symbol)
	}
	return nil
}
