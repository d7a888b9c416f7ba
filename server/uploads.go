package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

// An upload is a record and, until it has arrived whole, a file of what has
// arrived, whose size is the offset; then the file becomes a blob.

func (s *Server) part(id string) string { return filepath.Join(s.partFolder(), id+".part") }

// upload finds an upload that the one who asks may see.
func (s *Server) upload(c echo.Context, id string) (*queue.UploadRecord, error) {
	u, err := s.queue.Uploads.Get(c.Request().Context(), id)
	if err != nil {
		return nil, err
	}
	if i := who(c); u.Owner != i.user && i.role != api.RoleAdmin {
		return nil, queue.ErrNotFound
	}
	return u, nil
}

// isName says whether a file may be called so.
func isName(name string) bool {
	return fs.ValidPath(name) && name != "." && len(name) <= mostName && !strings.ContainsAny(name, "\\\x00\r\n")
}

var errName = wrong(http.StatusUnprocessableEntity, "the file's name has to be a plain relative path of at most %d bytes, with its ending", mostName)

// begin makes the record of an upload of so many bytes, −1: as many as come.
func (s *Server) begin(c echo.Context, name string, bytes int64) (*queue.UploadRecord, error) {
	if err := need(c, api.RoleUser); err != nil {
		return nil, err
	}
	name = filepath.ToSlash(name)
	switch most := s.o.Bounds.UploadBytes; {
	case most > 0 && bytes > most:
		return nil, wrong(http.StatusRequestEntityTooLarge, "the file has %d bytes, this server takes at most %d (%d MiB): compress it, or upload a DICOM study in parts", bytes, most, most>>20)
	case bytes == 0:
		return nil, wrong(http.StatusUnprocessableEntity, "the file is empty: send its bytes as the body")
	case !isName(name):
		return nil, errName
	}
	now := time.Now().UTC()
	u := &queue.UploadRecord{Upload: api.Upload{
		ID: queue.ID(), Owner: who(c).user, Name: name, Bytes: bytes, Created: now, Expires: now.Add(s.o.Bounds.Keep),
	}}
	leave, err := s.claim(u.ID, max(bytes, c.Request().ContentLength, 0))
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := touch(s.part(u.ID)); err != nil {
		return nil, err
	}
	if bytes < 0 { // nobody sees it before it is whole
		return u, nil
	}
	s.audit(c, "create", "upload", u.ID)
	return u, s.queue.Uploads.Create(context.WithoutCancel(c.Request().Context()), u.ID, u)
}

// touch makes an empty file, for good.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// appendBody writes the body behind what has arrived, at most so many bytes, and
// says how many have arrived then. They are on the disk.
func (s *Server) appendBody(c echo.Context, id string, most int64) (int64, error) {
	f, err := os.OpenFile(s.part(id), os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	_, copied := io.Copy(s.parts.Guard(f), io.LimitReader(c.Request().Body, most))
	stat, err := f.Stat()
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return 0, errors.Join(copied, err)
	}
	return stat.Size(), copied
}

// offset says how many bytes of an upload, whose lock is held, have arrived. One
// that was killed between its last byte and its record is completed.
func (s *Server) offset(ctx context.Context, u *queue.UploadRecord) (int64, error) {
	if u.Complete {
		return u.Bytes, nil
	}
	stat, err := os.Stat(s.part(u.ID))
	if err == nil && stat.Size() < u.Bytes {
		return stat.Size(), nil
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		_, err = s.complete(ctx, u)
	}
	return u.Bytes, err
}

// arrived says how many bytes of an upload, whose lock another has, are on the disk.
func (s *Server) arrived(u *queue.UploadRecord) (int64, error) {
	f, err := os.Open(s.part(u.ID))
	if errors.Is(err, fs.ErrNotExist) { // on its way from a file to a blob
		return u.Bytes, nil
	}
	if err != nil {
		return 0, err
	}
	stat, err := f.Stat()
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return stat.Size(), nil
}

// complete makes a blob of an upload that has arrived whole, and says so.
func (s *Server) complete(ctx context.Context, u *queue.UploadRecord) (*queue.UploadRecord, error) {
	ctx = context.WithoutCancel(ctx)
	name := engine.UploadBlob(u.ID)
	if _, err := os.Stat(s.part(u.ID)); err == nil {
		if err := s.blobs.PutFile(ctx, name, s.part(u.ID)); err != nil {
			return nil, err
		}
		if err := os.Remove(s.part(u.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) { // a store elsewhere has a copy
			return nil, err
		}
	}
	b, err := s.blobs.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }() // only read from
	h := sha256.New()
	n, err := io.Copy(h, b)
	if err != nil {
		return nil, err
	}
	done := *u
	done.Bytes, done.Offset, done.Complete, done.SHA256 = n, n, true, hex.EncodeToString(h.Sum(nil))
	done.Expires = time.Now().UTC().Add(s.o.Bounds.Keep)
	return &done, s.queue.Uploads.Put(ctx, u.ID, &done)
}

// PutUpload takes a file in one request.
func (s rest) PutUpload(c echo.Context, p api.PutUploadParams) error {
	u, err := s.put(c, p.Name)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/api/v1/uploads/"+u.ID)
	return c.JSON(http.StatusCreated, u.Upload)
}

func (s *Server) put(c echo.Context, name string) (*queue.UploadRecord, error) {
	length := c.Request().ContentLength
	if length < 0 {
		length = 1 // counted below
	}
	if most := s.o.Bounds.UploadBytes; length == 0 || most > 0 && length > most {
		return s.begin(c, name, length) // says what is wrong
	}
	u, err := s.begin(c, name, -1)
	if err != nil {
		return nil, err
	}
	leave, err := s.claim(u.ID, length) // for as long as it has no record
	if err != nil {
		return nil, errors.Join(err, os.Remove(s.part(u.ID)))
	}
	defer leave()
	most := cmp.Or(s.o.Bounds.UploadBytes, 1<<62)
	n, err := s.appendBody(c, u.ID, most+1)
	if err == nil && n == 0 {
		err = wrong(http.StatusUnprocessableEntity, "the file is empty: send its bytes as the body")
	}
	if err == nil && n > most {
		err = wrong(http.StatusRequestEntityTooLarge, "the file has more than the %d bytes that this server takes", most)
	}
	if err != nil {
		return nil, errors.Join(bodyError(err), os.Remove(s.part(u.ID)))
	}
	s.audit(c, "create", "upload", u.ID)
	return s.complete(c.Request().Context(), u)
}

// ListUploads lists the uploads of the one who asks.
func (s rest) ListUploads(c echo.Context, p api.ListUploadsParams) error {
	limit, err := limitOf(c, p.Limit, mostListed)
	if err != nil {
		return err
	}
	if p.After != "" {
		if _, err := s.upload(c, p.After); err != nil {
			return err
		}
	}
	user := who(c).user
	ids := s.queue.Uploads.Newest(limit, p.After, func(b queue.Brief) bool { return b.Of(user) })
	out := []api.Upload{}
	for u, err := range s.queue.Uploads.Rows(c.Request().Context(), ids) {
		if err != nil {
			return err
		}
		out = append(out, s.viewUpload(u))
	}
	return c.JSON(http.StatusOK, out)
}

// viewUpload is the upload with what has arrived of it so far.
func (s *Server) viewUpload(u *queue.UploadRecord) api.Upload {
	v := u.Upload
	if !v.Complete {
		v.Offset = v.Bytes // on its way from a file to a blob
		if stat, err := os.Stat(s.part(u.ID)); err == nil {
			v.Offset = stat.Size()
		}
	}
	return v
}

// GetUpload shows an upload.
func (s rest) GetUpload(c echo.Context, id api.ObjectID) error {
	u, err := s.upload(c, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.viewUpload(u))
}

// DeleteUpload deletes an upload.
func (s rest) DeleteUpload(c echo.Context, id api.ObjectID) error {
	if err := s.dropUpload(c, id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *Server) dropUpload(c echo.Context, id string) error {
	if err := need(c, api.RoleUser); err != nil {
		return err
	}
	if _, err := s.upload(c, id); err != nil {
		return err
	}
	if s.needed()[id] {
		return wrong(http.StatusConflict, "a job that is not over needs this upload: cancel the job first")
	}
	s.audit(c, "delete", "upload", id)
	return s.deleteUpload(context.WithoutCancel(c.Request().Context()), id)
}

func (s *Server) deleteUpload(ctx context.Context, id string) error {
	if err := s.queue.Uploads.Delete(ctx, id); err != nil {
		return err
	}
	if err := os.Remove(s.part(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.blobs.Delete(ctx, engine.UploadBlob(id))
}

// needed are the uploads of jobs that are not over.
func (s *Server) needed() map[string]bool {
	ids := map[string]bool{}
	s.queue.Jobs.EachOpen(func(_ string, r *queue.Record) bool {
		for _, in := range r.Submit.Inputs {
			ids[in.Upload] = true
		}
		return true
	})
	return ids
}
