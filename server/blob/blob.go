// Package blob keeps files of any size under names: uploads, and the results of
// jobs. It is what workers of several machines share; the file system is one
// Store, S3 another.
//
// The one idea: a blob appears whole or not at all, and when Put returns it is
// there for good.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// ErrNotFound is in the chain of the error of a name that has no blob.
var ErrNotFound = fs.ErrNotExist

// ErrFull is in the chain of errors for want of room.
var ErrFull = errors.New("no room left for blobs")

// Info is a blob that there is.
type Info struct {
	Name    string
	Size    int64
	Changed time.Time
}

// Object is an open blob.
type Object interface {
	io.ReadSeekCloser
	io.ReaderAt
	Info() Info
}

// Store keeps blobs. Names are relative paths with slashes. It may be used by any
// number of goroutines.
type Store interface {
	// Put makes a blob of what r has; one of that name is replaced.
	Put(ctx context.Context, name string, r io.Reader) (int64, error)
	// PutFile makes a blob of a file of this machine, which may be gone afterwards.
	PutFile(ctx context.Context, name, path string) error
	Open(ctx context.Context, name string) (Object, error)
	// Delete deletes a blob; that there is none is no error.
	Delete(ctx context.Context, name string) error
	// List calls f for each blob whose name begins with prefix, in any order.
	List(ctx context.Context, prefix string, f func(Info) error) error
	// Check says why nothing can be put at the moment.
	Check(ctx context.Context) error
}

func checkName(name string) error {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("blob: name %.100q is not a plain relative path", name)
	}
	return nil
}
