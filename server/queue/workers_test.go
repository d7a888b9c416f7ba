package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/internal/api"
)

// A worker is there while it says so, and not when it says that it stops, or nothing.
func TestAWorkerIsThereWhileItSaysSo(t *testing.T) {
	var w workers
	devices := []api.ServerDevice{{Name: "cpu"}}
	at := time.Now()
	w.hear(sign{Worker: "a", Devices: devices}, at)
	w.hear(sign{Worker: "b", Devices: devices}, at)
	w.hear(sign{Worker: "us", Devices: devices}, at)
	assert.Equal(t, map[string][]api.ServerDevice{"a": devices, "b": devices}, w.there(at, "us"))
	w.hear(sign{Worker: "b"}, at)
	assert.Equal(t, map[string][]api.ServerDevice{"a": devices}, w.there(at.Add(signsFor), "us"))
	assert.Empty(t, w.there(at.Add(signsFor+1), "us"))
}
