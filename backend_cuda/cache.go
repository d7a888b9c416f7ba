//go:build cuda && linux

package cuda

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/shaders"
)

// cache is a folder of images; without a name it keeps none. A file is the SHA-256 of
// an image, then the image. A folder that cannot be written costs time, nothing else.
type cache struct {
	folder string
	mutex  sync.Mutex // one writer at a time
}

// userCache is the folder of the user, of all devices of this process.
var userCache = sync.OnceValue(func() *cache {
	folder, err := os.UserCacheDir()
	if err != nil {
		return &cache{}
	}
	return &cache{folder: filepath.Join(folder, "gounet", "cuda")}
})

// image is a kernel that the driver can load.
type image struct {
	name   string // of its file
	code   []byte
	cached bool
}

// imageName is the name of the image of a source: what else it depends on is the GPU, the driver, the
// compiler and what kernels include.
func (d *device) imageName(source string) string {
	h := sha256.New()
	version := d.compiler.version()
	fmt.Fprintf(h, "%s\n%d\n%d\n%d\n%s%s", d.facts.name, d.facts.arch, d.facts.driver, len(version), version, source)
	return hex.EncodeToString(h.Sum(nil)) + ".cubin"
}

// images of a list, from the cache or compiled on all processors, with the errors of
// those that have none.
func (d *device) images(list []launch) ([]image, []error) {
	made, errs := make([]image, len(list)), make([]error, len(list))
	next := make(chan int)
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(list)) {
		wait.Go(func() {
			for i := range next {
				made[i], errs[i] = d.image(list[i])
			}
		})
	}
	for i := range list {
		next <- i
	}
	close(next)
	wait.Wait()
	return made, errs
}

// image is that of a launch.
func (d *device) image(l launch) (image, error) {
	source, err := shaders.CUDA(l.Kernel, l.Prelude)
	if err != nil {
		return image{}, err
	}
	name := d.imageName(source)
	if code, ok := d.cache.get(name); ok {
		return image{name, code, true}, nil
	}
	return d.compile(l, name)
}

// compile makes the image of a launch, and keeps it.
func (d *device) compile(l launch, name string) (image, error) {
	source, err := shaders.CUDA(l.Kernel, l.Prelude)
	if err != nil {
		return image{}, err
	}
	code, err := d.compiler.image(l.Kernel, source, d.facts.arch)
	if err != nil {
		return image{}, err
	}
	d.cache.put(name, code)
	return image{name: name, code: code}, nil
}

// get is an image as it was put.
func (c *cache) get(name string) ([]byte, bool) {
	if c.folder == "" {
		return nil, false
	}
	b, err := os.ReadFile(filepath.Join(c.folder, name))
	if err != nil || len(b) <= sha256.Size {
		return nil, false
	}
	sum := sha256.Sum256(b[sha256.Size:])
	return b[sha256.Size:], bytes.Equal(sum[:], b[:sha256.Size])
}

// put keeps an image, if it can.
func (c *cache) put(name string, code []byte) {
	if c.folder == "" || os.MkdirAll(c.folder, 0o700) != nil {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	sum := sha256.Sum256(code)
	_ = atomicfile.Write(filepath.Join(c.folder, name), func(w io.Writer) error { // without it the next compiles again
		if _, err := w.Write(sum[:]); err != nil {
			return err
		}
		_, err := w.Write(code)
		return err
	})
}
