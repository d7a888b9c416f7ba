package server

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An image that is given another name gets one that an upload may have.
func TestAnImageOfMONAILabelGetsNoBadName(t *testing.T) {
	r := start(t, testOptions(t))
	body, contentType := formOf(t, "", "scan.nii.gz", nifti(t, small))
	for _, name := range []string{strings.Repeat("x", 3000), "a\nb", "a\\b", ".nii", "a\x00", strings.Repeat("x", mostName)} {
		b := read(t, r.do("PUT", "/monai/datastore/?image="+url.QueryEscape(name), body, "Content-Type", contentType), http.StatusUnprocessableEntity)
		assert.Contains(t, string(b), `"detail":"the file's name`)
		assert.Empty(t, r.queue.Uploads.Newest(1, "", anyRow), "nothing of it stays")
	}
	read(t, r.do("PUT", "/monai/datastore/?image=case_1", body, "Content-Type", contentType), http.StatusOK)
}

// What is not there is said in the form of the protocol, with and without a page beside it.
func TestUnknownAddressesAreAnsweredInTheFormOfTheirProtocol(t *testing.T) {
	for name, page := range map[string]http.Handler{"no page": nil, "a page": http.NotFoundHandler()} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.Page = page
			r := start(t, o)
			for path, key := range map[string]string{"/v2/nothing/here": "error", "/v2/models/" + modelID + "/nothing": "error", "/monai/nothing": "detail"} {
				a := r.do("GET", path, nil)
				assert.Equal(t, "application/json", a.Header.Get("Content-Type"), path)
				assert.Contains(t, string(read(t, a, http.StatusNotFound)), `{"`+key+`":"there is nothing at this address`, path)
				a = r.do("POST", path, nil) // 405 with a page, which has files of any name
				assert.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, a.StatusCode)
				assert.Contains(t, string(read(t, a, a.StatusCode)), `{"`+key+`":"`, path)
			}
			a := r.do("DELETE", "/v2/models/"+modelID, nil)
			assert.Contains(t, string(read(t, a, http.StatusMethodNotAllowed)), `{"error":`)
			refused(t, r.do("DELETE", "/api/v1/info", nil), http.StatusMethodNotAllowed)
		})
	}
}

// A download may ask how long a result is before it gets it.
func TestAResultAnswersToHEAD(t *testing.T) {
	r := start(t, testOptions(t))
	j := r.wait(r.submit(r.tiny()).ID)
	a := r.do("HEAD", j.Results[0].URL, nil)
	require.Equal(t, http.StatusOK, a.StatusCode)
	assert.Equal(t, j.Results[0].Bytes, a.ContentLength)
	assert.Equal(t, http.StatusNotFound, r.do("HEAD", j.Results[0].URL+"x", nil).StatusCode)
}

// A file that is a byte too large is said to be one byte larger.
func TestTheSizeOfAFileIsSaidExactly(t *testing.T) {
	o := testOptions(t)
	o.Bounds.UploadBytes = 1 << 20
	r := start(t, o)
	p := refused(t, r.do("POST", "/api/v1/uploads?name=a.nii", make([]byte, 1<<20+1)), http.StatusRequestEntityTooLarge)
	assert.Contains(t, p.Detail, "1048577 bytes, this server takes at most 1048576")
}
