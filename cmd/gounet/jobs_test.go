package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/internal/api"
)

func TestTheEndOfAJobTellsItsWarnings(t *testing.T) {
	j := &api.Job{State: api.JobRunning, Warnings: []string{"Slices are missing."}}
	assert.Equal(t, "running", describeJob(j), "once, in the end")
	j.State = api.JobDone
	assert.Equal(t, "done; warning: Slices are missing.", describeJob(j))
}
