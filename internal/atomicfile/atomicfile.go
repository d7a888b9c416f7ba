// Package atomicfile replaces a file as a whole: whatever happens meanwhile (a
// full disk, kill -9, loss of power), readers find either the old content or
// the new, never a mixture.
package atomicfile

import (
	"bufio"
	"errors"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Suffix ends the name of the temporary file beside the file that is written. The
// number of the process is in front of it, so that two processes do not write into
// each other's; what a killed one left is removed by the next that writes the file,
// and does not fill the disk.
const Suffix = ".tmp"

const bufferBytes = 1 << 18

// Write replaces the file at path with what write produces: into a temporary
// file of the same folder, then fsync, rename and fsync of the folder. On an
// error the temporary file is removed and the old file is as it was. A file has
// one writer at a time in a process; of several processes the last one wins.
//
// Links are followed, and a file that is replaced keeps its permissions. A device or a
// pipe is written to.
func Write(path string, write func(w io.Writer) error) (err error) {
	old, err := os.Stat(path)
	if err == nil {
		if !old.Mode().IsRegular() && !old.IsDir() {
			return writeThrough(path, write)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
	}
	temporary := filepath.Join(filepath.Dir(path), stem(filepath.Base(path))+"."+strconv.Itoa(os.Getpid())+Suffix)
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(temporary)))
		}
	}()
	if old != nil {
		_ = f.Chmod(old.Mode().Perm()) // a file system without permissions has none to keep
	}
	removeLeft(path)
	if err := errors.Join(fill(f, write), f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// removeLeft removes the temporary files of path whose processes are no more, and
// the one without a number that earlier versions wrote. What cannot be removed
// stays: it is in nobody's way.
func removeLeft(path string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	base := stem(filepath.Base(path))
	for _, e := range entries {
		middle, ok := strings.CutPrefix(e.Name(), base)
		if !ok {
			continue
		}
		if middle, ok = strings.CutSuffix(middle, Suffix); !ok {
			continue
		}
		if middle != "" {
			pid, err := strconv.Atoi(strings.TrimPrefix(middle, "."))
			if err != nil || middle[0] != '.' || pid <= 0 || alive(pid) {
				continue
			}
		}
		_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
	}
}

// alive says whether a process may still be there.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }() // nothing was waited for
	return !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

func fill(f *os.File, write func(w io.Writer) error) error {
	b := bufio.NewWriterSize(f, bufferBytes)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}

// writeThrough is for what is no file.
func writeThrough(path string, write func(w io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(fill(f, write), f.Close())
}

// stem is what the temporary file's name begins with: that of the file, or where a name
// would become too long its begin and a hash of it.
func stem(base string) string {
	const most, begin = 255 - len(".4194304"+Suffix), 200
	if len(base) <= most {
		return base
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, base) // never fails
	return base[:begin] + strconv.FormatUint(uint64(h.Sum32()), 16)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// syncFolder makes a rename in the folder last. File systems that cannot do
// that for a folder say EINVAL or "not supported"; they are left to themselves.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" || runtime.GOOS == "js" {
		return nil // neither can fsync a folder
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
