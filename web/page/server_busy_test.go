package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A server that answers is not told to be silent: its own sentence is shown, and the way
// to run here.
func TestAServerThatCannotTakeTheScanSaysWhy(t *testing.T) {
	p, f := served(t)
	f.busy(0, "the server's disk is full: delete uploads")
	assert.Equal(t, "The server cannot go on at the moment", p.Server.WaitTitle())
	assert.Contains(t, p.Server.WaitText(), "The server's disk is full: delete uploads.")
	p.Models.List[0].Files = nil
	assert.True(t, p.CanRunHere(), "it answers, so that it has the model to give")
	f.told(0, true)
	assert.Equal(t, "The server does not answer", p.Server.WaitTitle())
	assert.False(t, p.CanRunHere())
	f.told(0, false)
	assert.False(t, p.Server.Waiting)
}

// What becomes of a job on a server that is gone is not known here.
func TestAJobOfASilentServerIsNotSaidToGoOn(t *testing.T) {
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	assert.Equal(t, int64(100), p.Server.Sent)
	f.next(t, "POST api/v1/jobs")(503, `{"detail":"the server's disk is full"}`)
	assert.Contains(t, p.Server.WaitText(), "The server's disk is full. The scan has arrived")
	f.next(t, "POST api/v1/jobs")(429, `{"detail":"4 jobs of key:a are not over"}`)
	assert.Contains(t, p.Server.WaitText(), "4 jobs of key:a are not over.")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"running"}`)
	f.next(t, "watch api/v1/jobs/j1/events")
	f.lost()
	f.next(t, "GET api/v1/jobs/j1")(0, "")
	assert.Equal(t, "The server does not answer", p.Server.WaitTitle())
	assert.NotContains(t, p.Server.WaitText(), "goes on there. ")
	assert.Contains(t, p.Server.WaitText(), "Whether the job goes on")
}

func TestAModelThatTheServerHasNoMoreLeadsToAnother(t *testing.T) {
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(404, `{"detail":"there is no model hippo: /api/v1/models lists those that there are"}`)
	require.NotNil(t, p.Alert)
	assert.Equal(t, "The server does not have this model any more", p.Alert.Title)
	assert.NotContains(t, p.Alert.Text, "/api/")
	p.Alert.OnDo()
	assert.Equal(t, PanelModels, p.Panel)
	assert.Empty(t, p.Server.Stage)
}

// A job that was cancelled is not counted as one ahead of the next.
func TestTheJobsAheadAreAskedForWhenAJobIsDeleted(t *testing.T) {
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"running"}`)
	p.CancelJob()
	asked := f.count(askInfo)
	f.next(t, "POST api/v1/jobs/j1/cancel")(200, "")
	f.next(t, "DELETE api/v1/jobs/j1")(204, "")
	require.Equal(t, asked+1, f.count(askInfo))
	for i := len(f.net) - 1; ; i-- {
		if f.net[i] == askInfo {
			f.answers[i](200, []byte(`{"devices":[{"name":"cpu"}]}`))
			break
		}
	}
	assert.Contains(t, p.Server.About(), "no job ahead")
}
