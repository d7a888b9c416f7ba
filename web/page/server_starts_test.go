package page

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// When a job begins is said by the server's own figures, as long as that is to come.
func TestAQueueSaysWhenTheJobBegins(t *testing.T) {
	p, f := served(t)
	p.Server.Info = info(t, `{"version":"1","running":1,"job_seconds":8,"devices":[{"name":"cpu","state":"busy"},{"name":"gpu","state":"lost"}]}`)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued","position":2}`)
	watch := f.next(t, "watch api/v1/jobs/j1/events")
	says := func() string { return p.Server.StartsText(f.now) }
	assert.Equal(t, "starts in about 20 s", says(), "two jobs, and half of the one that runs")
	f.now = f.now.Add(12 * time.Second)
	assert.Equal(t, "starts in about 8 s", says())
	watch(0, `{"id":"j1","state":"queued","position":2}`)
	assert.Equal(t, "starts in about 8 s", says(), "it has the same place")
	f.now = f.now.Add(8 * time.Second)
	assert.Empty(t, says(), "it should have begun")
	watch(0, `{"id":"j1","state":"queued","position":1}`)
	assert.Equal(t, "starts in about 12 s", says())
	watch(0, `{"id":"j1","state":"running"}`)
	assert.Empty(t, says())
}

func TestNobodyGuessesWhenAJobBegins(t *testing.T) {
	for what, says := range map[string]string{
		"nothing was done yet": `{"running":1,"devices":[{"name":"cpu"}]}`,
		"no device":            `{"running":1,"job_seconds":8,"devices":[{"name":"cpu","state":"lost"}]}`,
	} {
		p, f := served(t)
		p.Server.Info = info(t, says)
		f.next(t, "upload scan.nii.gz")(0, "")
		f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued","position":2}`)
		assert.Empty(t, p.Server.StartsText(f.now), what)
	}
}

func info(t *testing.T, text string) (i api.Info) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &i))
	return i
}
