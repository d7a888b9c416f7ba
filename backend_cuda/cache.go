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
	"slices"
	"sync"
	"time"

	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/shaders"
)

// cache is a folder of images; without a name it keeps none. A file is the SHA-256 of
// an image, then the image. A folder that cannot be written costs time, nothing else.
type cache struct {
	folder string
	mutex  sync.Mutex // one writer at a time
	pruned bool       // by this process
}

// What a cache keeps: what was used within 90 days, and of that so much.
const (
	unusedFor = 90 * 24 * time.Hour
	keptBytes = 2 << 30
	usedDaily = 24 * time.Hour // a file's time is that of its last use, to a day
)

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
	path := filepath.Join(c.folder, name)
	b, err := os.ReadFile(path)
	if err != nil || len(b) <= sha256.Size {
		return nil, false
	}
	now := time.Now()
	if info, err := os.Stat(path); err == nil && now.Sub(info.ModTime()) > usedDaily {
		_ = os.Chtimes(path, now, now) // without it the file is made anew some day
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
	if !c.pruned { // a cache that does not grow stays
		c.pruned = true
		c.prune(time.Now(), keptBytes)
	}
	sum := sha256.Sum256(code)
	_ = atomicfile.Write(filepath.Join(c.folder, name), func(w io.Writer) error { // without it the next compiles again
		if _, err := w.Write(sum[:]); err != nil {
			return err
		}
		_, err := w.Write(code)
		return err
	})
}

// prune removes files that were not used for long, and the least recently used of those above
// so many bytes.
func (c *cache) prune(now time.Time, most int64) {
	entries, err := os.ReadDir(c.folder)
	if err != nil {
		return
	}
	var files []os.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && slices.Contains([]string{".cubin", ".tiles"}, filepath.Ext(e.Name())) {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	total := int64(0)
	for _, f := range files {
		if total += f.Size(); total > most || now.Sub(f.ModTime()) > unusedFor {
			_ = os.Remove(filepath.Join(c.folder, f.Name())) // who has none compiles again
		}
	}
}
