package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
)

// Archive is a DICOMweb server that jobs may name. Only those that the server was
// started with are asked: no user can make it ask another address.
type Archive struct {
	URL   string // of the service: what /studies stands behind
	Token string // for Authorization: Bearer
}

// Archives are those that jobs may name, and how many bytes are taken of a series; 0:
// any.
type Archives struct {
	Known     map[string]Archive
	MostBytes int64
	Idle      time.Duration // without a byte until an archive is given up; 0: any
	Disk      *blob.Folder  // whose reserve stays free; nil: any
}

// ErrSilent says that an archive has stopped to answer.
var ErrSilent = errors.New("it is silent")

// silence ends a conversation in which nothing is heard for a while.
type silence struct {
	ctx   context.Context
	idle  time.Duration
	timer *time.Timer
}

func (a Archives) silence(ctx context.Context) (*silence, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &silence{ctx: ctx, idle: a.Idle}
	if s.idle > 0 {
		s.timer = time.AfterFunc(s.idle, func() { cancel(fmt.Errorf("%w for %v", ErrSilent, s.idle)) })
	}
	return s, func() {
		if s.timer != nil {
			s.timer.Stop()
		}
		cancel(nil)
	}
}

// heard is a reader each of whose bytes is a sign of life: of the other side that it
// sends, or that it takes.
type heard struct {
	io.Reader
	*silence
	close func() error
}

func (h heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if h.timer != nil && (n > 0 || err != nil) {
		h.timer.Reset(h.idle)
	}
	return n, h.because(err)
}

func (h heard) Close() error { return h.close() }

// because is err, or the silence that is its cause.
func (s *silence) because(err error) error {
	if cause := context.Cause(s.ctx); err != nil && errors.Is(cause, ErrSilent) {
		return cause
	}
	return err
}

// acceptableSeries says what is wrong with an input of an archive.
func (s *Server) acceptableSeries(in *api.DICOMwebInput, inputs int) error {
	if _, ok := s.o.Archives[in.Archive]; !ok {
		return wrong(http.StatusUnprocessableEntity, "there is no archive %.60q: /api/v1/info lists those that there are", in.Archive)
	}
	if !isUID(in.Study) || !isUID(in.Series) {
		return wrong(http.StatusUnprocessableEntity, "study and series have to be UIDs")
	}
	if inputs != 1 {
		return wrong(http.StatusUnprocessableEntity, "%d inputs, wanted 1: a series of an archive is a scan of its own", inputs)
	}
	return nil
}

// isUID checks a DICOM UID: numbers with dots between, 64 bytes at most.
func isUID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}

// ask sends a request to an archive. The answer is one of status 200 or 202, or an
// error that says what was answered.
func (a Archives) ask(ctx context.Context, in *api.DICOMwebInput, method, path, accept, contentType string, body io.Reader) (*http.Response, error) {
	to, ok := a.Known[in.Archive]
	if !ok {
		return nil, fmt.Errorf("there is no archive %.60q", in.Archive)
	}
	s, end := a.silence(ctx)
	if body != nil {
		body = heard{body, s, func() error { return nil }}
	}
	r, err := http.NewRequestWithContext(s.ctx, method, strings.TrimSuffix(to.URL, "/")+path, body)
	if err != nil {
		end()
		return nil, err
	}
	r.Header.Set("Accept", accept)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if to.Token != "" {
		r.Header.Set("Authorization", "Bearer "+to.Token)
	}
	answer, err := http.DefaultClient.Do(r) // a series may take minutes, as long as something comes
	if err != nil {
		err = s.because(err)
		end()
		return nil, fmt.Errorf("archive %s: %w", in.Archive, err)
	}
	theirs := answer.Body
	answer.Body = heard{theirs, s, func() error { end(); return theirs.Close() }}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusAccepted {
		b, _ := io.ReadAll(io.LimitReader(answer.Body, 200)) // a hint
		return nil, errors.Join(fmt.Errorf("archive %s answers %s: %q", in.Archive, answer.Status, b), answer.Body.Close())
	}
	return answer, nil
}

// Fetch gets the instances of a series into folder: how many there are by
// QIDO-RS, they themselves by WADO-RS.
func (a Archives) Fetch(ctx context.Context, in *api.DICOMwebInput, folder string, told func(done, of int64)) error {
	path := "/studies/" + in.Study + "/series/" + in.Series
	answer, err := a.ask(ctx, in, http.MethodGet, path+"/instances", "application/dicom+json", "", nil)
	if err != nil {
		return err
	}
	var instances []json.RawMessage
	const mostList = 256 << 20
	err = json.NewDecoder(io.LimitReader(answer.Body, mostList)).Decode(&instances)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return fmt.Errorf("archive %s: list of instances: %w", in.Archive, err)
	}
	if answer, err = a.ask(ctx, in, http.MethodGet, path, `multipart/related; type="application/dicom"; transfer-syntax=*`, "", nil); err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // only read from
	_, params, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		return fmt.Errorf("archive %s answers with %.100q, wanted multipart/related", in.Archive, answer.Header.Get("Content-Type"))
	}
	left := a.MostBytes
	parts := multipart.NewReader(answer.Body, params["boundary"])
	for n := int64(0); ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return fmt.Errorf("archive %s has no instances of the series", in.Archive)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("archive %s: instance %d: %w", in.Archive, n, err)
		}
		size, err := save(filepath.Join(folder, fmt.Sprintf("%06d.dcm", n)), part, left, a.Disk)
		if err != nil {
			return fmt.Errorf("archive %s: instance %d: %w", in.Archive, n, err)
		}
		if a.MostBytes > 0 {
			left -= size
		}
		told(n+1, int64(len(instances)))
	}
}

// save writes what r has to a file, at most so many bytes if that is not 0, and while they
// leave the reserve of its disk free, if that is not nil.
func save(path string, r io.Reader, most int64, disk *blob.Folder) (int64, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	if most > 0 {
		r = io.LimitReader(r, most+1)
	}
	w := io.Writer(f)
	if disk != nil {
		w = disk.Guard(f)
	}
	n, err := io.Copy(w, r)
	if err == nil && most > 0 && n > most {
		err = errors.New("more bytes than this server takes of a scan")
	}
	return n, errors.Join(err, f.Close())
}

// Store sends a DICOM object to the archive of an input by STOW-RS.
func (a Archives) Store(ctx context.Context, in *api.DICOMwebInput, object io.Reader) error {
	var front bytes.Buffer
	w := multipart.NewWriter(&front)
	if _, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}}); err != nil {
		return err
	}
	end := "\r\n--" + w.Boundary() + "--\r\n"
	body := io.MultiReader(&front, object, strings.NewReader(end))
	contentType := `multipart/related; type="application/dicom"; boundary=` + w.Boundary()
	answer, err := a.ask(ctx, in, http.MethodPost, "/studies/"+in.Study, "application/dicom+json", contentType, body)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // only read from
	var stored map[string]struct{ Value []json.RawMessage }
	const failedSequence, mostAnswer = "00081198", 1 << 20
	if err := json.NewDecoder(io.LimitReader(answer.Body, mostAnswer)).Decode(&stored); err == nil && len(stored[failedSequence].Value) > 0 {
		return fmt.Errorf("archive %s did not store the object: %.300s", in.Archive, stored[failedSequence].Value[0])
	}
	return nil
}
