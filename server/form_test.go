package server

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// formPart is a part of a form: a file if it has the name of one.
type formPart struct {
	name, file string
	content    []byte
}

func formWith(t testing.TB, parts ...formPart) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		var to io.Writer
		var err error
		if p.file != "" {
			to, err = w.CreateFormFile(p.name, p.file)
		} else {
			to, err = w.CreateFormField(p.name)
		}
		require.NoError(t, err)
		_, err = to.Write(p.content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes(), w.FormDataContentType()
}

// A form is refused when its text is more than params have, and nothing of its files
// stays.
func TestFormsAreBounded(t *testing.T) {
	r := start(t, testOptions(t))
	scan := formPart{"file", "x.nii.gz", nifti(t, small)}
	many := []formPart{scan}
	for n := range mostFields + 1 {
		many = append(many, formPart{fmt.Sprint("f", n), "", nil})
	}
	half := formPart{"a", "", make([]byte, mostHeader/2+1)}
	for name, c := range map[string]struct {
		status int
		parts  []formPart
	}{
		"text above the bound": {413, []formPart{scan, half, {"b", "", half.content}}},
		"one field above it":   {413, []formPart{scan, {"b", "", make([]byte, mostHeader+1)}}},
		"many fields":          {413, many},
		"many names":           {413, []formPart{scan, {string(bytes.Repeat([]byte("n"), mostHeader+1)), "", nil}}},
		"two files":            {400, []formPart{scan, scan}},
		"an empty file":        {422, []formPart{{"file", "x.nii.gz", nil}}},
	} {
		t.Run(name, func(t *testing.T) {
			body, contentType := formWith(t, c.parts...)
			for _, at := range []string{"PUT /monai/session/", "PUT /monai/datastore", "POST /monai/infer/" + modelID} {
				method, path, _ := strings.Cut(at, " ")
				a := r.do(method, path, body, "Content-Type", contentType)
				assert.Equal(t, c.status, a.StatusCode, at)
				_, err := io.Copy(io.Discard, a.Body)
				require.NoError(t, err)
			}
		})
	}
	body, contentType := formWith(t, scan, formPart{"params", "", []byte("no JSON")})
	assert.Equal(t, 400, r.do("POST", "/monai/infer/"+modelID, body, "Content-Type", contentType).StatusCode)
	long := append([]byte("params="), bytes.Repeat([]byte("x"), mostHeader)...)
	assert.Equal(t, 413, r.do("POST", "/monai/infer/"+modelID, long, "Content-Type", "application/x-www-form-urlencoded").StatusCode)

	assert.Empty(t, decode[[]api.Upload](t, r.do("GET", "/api/v1/uploads", nil), 200))
	left, err := filepath.Glob(r.part("*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Who may not upload is told so before the body has come.
func TestAViewersFormIsNotRead(t *testing.T) {
	r := withKeys(t)
	for _, at := range []string{"PUT /monai/session/", "PUT /monai/datastore", "POST /monai/infer/" + modelID, "POST /volview/stage"} {
		method, path, _ := strings.Cut(at, " ")
		body, contentType := formWith(t, formPart{"text", "", []byte("x")})
		unread := bytes.NewReader(body)
		q := httptest.NewRequestWithContext(t.Context(), method, path, unread)
		q.Header.Set("Authorization", "Bearer viewer")
		q.Header.Set("Content-Type", contentType)
		a := httptest.NewRecorder()
		r.Handler().ServeHTTP(a, q)
		assert.Equal(t, http.StatusForbidden, a.Code, at)
		assert.Equal(t, len(body), unread.Len(), at)
	}
}
