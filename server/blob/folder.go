package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
)

// temporary begins the names of files that are being written. What a killed process
// left is removed when the folder is opened.
const temporary = ".put-"

// Folder is a Store in a folder of the file system, which several processes may
// share.
type Folder struct {
	root    string
	reserve int64 // bytes of the disk that stay free
	n       atomic.Int64

	// Free are the bytes that are left on its disk, if that is known. Whoever sets another
	// does so before the folder is used.
	Free func() (bytes int64, known bool)
}

// OpenFolder makes the folder if it is not there. Puts that would leave fewer than
// reserve bytes free on its disk are refused with ErrFull.
func OpenFolder(root string, reserve int64) (*Folder, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	f := &Folder{root: root, reserve: reserve, Free: func() (int64, bool) { return freeBytes(root) }}
	own := fmt.Sprintf("%s%d-", temporary, os.Getpid())
	left, _ := filepath.Glob(filepath.Join(root, temporary+"*")) // the pattern is right
	for _, path := range left {
		var pid, n int
		if _, err := fmt.Sscanf(filepath.Base(path), temporary+"%d-%d", &pid, &n); err == nil && alive(pid) && !strings.HasPrefix(filepath.Base(path), own) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("blob: %w", err)
		}
	}
	return f, nil
}

func (f *Folder) path(name string) (string, error) {
	return filepath.Join(f.root, filepath.FromSlash(name)), checkName(name)
}

// Put implements Store.
func (f *Folder) Put(ctx context.Context, name string, r io.Reader) (n int64, err error) {
	if _, err := f.path(name); err != nil {
		return 0, err
	}
	if err := f.Check(ctx); err != nil {
		return 0, err
	}
	temp := filepath.Join(f.root, fmt.Sprintf("%s%d-%d", temporary, os.Getpid(), f.n.Add(1)))
	w, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, wrap(name, err)
	}
	n, err = io.Copy(f.Guard(w), reader{ctx, r})
	err = errors.Join(err, w.Close())
	if err == nil {
		err = f.PutFile(ctx, name, temp)
	}
	if err != nil {
		return n, errors.Join(wrap(name, err), ignoreMissing(os.Remove(temp)))
	}
	return n, nil
}

// PutFile implements Store. A file on the same disk is moved, another is copied.
func (f *Folder) PutFile(ctx context.Context, name, path string) error {
	to, err := f.path(name)
	if err != nil {
		return err
	}
	if err := syncPath(path); err != nil {
		return wrap(name, err)
	}
	if err := f.makeFolders(filepath.Dir(to)); err != nil {
		return wrap(name, err)
	}
	err = os.Rename(path, to)
	if errors.Is(err, syscall.EXDEV) {
		from, err := os.Open(path)
		if err != nil {
			return wrap(name, err)
		}
		defer func() { _ = from.Close() }() // only read from
		_, err = f.Put(ctx, name, from)
		return err
	}
	if err != nil {
		return wrap(name, err)
	}
	return wrap(name, syncPath(filepath.Dir(to)))
}

// makeFolders makes dir and those above it, for good.
func (f *Folder) makeFolders(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for ; len(dir) >= len(f.root); dir = filepath.Dir(dir) {
		if err := syncPath(dir); err != nil {
			return err
		}
	}
	return nil
}

// file is a blob that is open.
type file struct {
	*os.File
	info Info
}

func (f file) Info() Info { return f.info }

// Open implements Store.
func (f *Folder) Open(_ context.Context, name string) (Object, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	r, err := os.Open(path)
	if err != nil {
		return nil, wrap(name, err)
	}
	stat, err := r.Stat()
	if err == nil && !stat.Mode().IsRegular() {
		err = ErrNotFound
	}
	if err != nil {
		return nil, errors.Join(wrap(name, err), r.Close())
	}
	return file{r, Info{name, stat.Size(), stat.ModTime()}}, nil
}

// Delete implements Store.
func (f *Folder) Delete(_ context.Context, name string) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if err := ignoreMissing(os.Remove(path)); err != nil {
		return wrap(name, err)
	}
	for dir := filepath.Dir(path); len(dir) > len(f.root) && os.Remove(dir) == nil; { // empty ones
		dir = filepath.Dir(dir)
	}
	return nil
}

// List implements Store.
func (f *Folder) List(ctx context.Context, prefix string, each func(Info) error) error {
	from := f.root
	if at := strings.LastIndexByte(prefix, '/'); at > 0 { // others are not looked at, of which there may be many
		var err error
		if from, err = f.path(prefix[:at]); err != nil {
			return err
		}
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
			return nil
		}
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), temporary) {
			return errors.Join(err, ctx.Err())
		}
		relative, err := filepath.Rel(f.root, path)
		if err != nil || !strings.HasPrefix(filepath.ToSlash(relative), prefix) {
			return err
		}
		stat, err := d.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		return each(Info{filepath.ToSlash(relative), stat.Size(), stat.ModTime()})
	})
}

// Check implements Store: the disk has more than the reserve.
func (f *Folder) Check(context.Context) error { return f.Room(0) }

// Room is ErrFull unless so many bytes more leave the reserve free.
func (f *Folder) Room(more int64) error {
	if f.reserve <= 0 {
		return nil
	}
	if free, ok := f.Free(); ok && free-f.reserve < more {
		return fmt.Errorf("blob: %w: %d MiB are free on the disk of %s, %d MiB are to come and %d MiB are kept free: delete jobs and uploads, or make room", ErrFull, free>>20, f.root, more>>20, f.reserve>>20)
	}
	return nil
}

// Guard is w, a file on the folder's disk, which takes bytes while they leave the reserve
// free.
func (f *Folder) Guard(w io.Writer) io.Writer { return guard{f, w} }

type guard struct {
	f *Folder
	w io.Writer
}

func (g guard) Write(p []byte) (int, error) {
	if err := g.f.Room(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := g.w.Write(p)
	if err != nil {
		err = wrap("a piece", err)
	}
	return n, err
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// wrap names the blob, and makes errors for want of room ErrFull.
func wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("blob: %s: %w: %w", name, ErrFull, err)
	}
	return fmt.Errorf("blob: %s: %w", name, err)
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) { // folders of some file systems
		err = nil
	}
	return errors.Join(err, f.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
