package queue

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// ended is the record of a job that is done, as large as that of a model of eight
// labels whose results were wanted in four formats.
func ended(owner string) *Record {
	r := record(owner, "")
	now := time.Now().UTC()
	r.State, r.Finished, r.Started, r.Times, r.Memory = api.JobDone, &now, &now, &api.Times{}, &api.Memory{}
	r.Submit.Inputs = []api.Input{{Upload: ID()}}
	for n := range 4 {
		r.Results = append(r.Results, api.JobResult{
			Name: fmt.Sprintf("scan_%d.nii.gz", n), URL: "/api/v1/jobs/" + r.ID + "/results/scan.nii.gz", MediaType: "application/gzip", SHA256: ID() + ID(),
		})
	}
	for n := range 8 {
		r.Labels = append(r.Labels, api.LabelOf(uint8(n), fmt.Sprint("label ", n), 1, 2, 3))
	}
	return r
}

// heap is what is reachable, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// briefBytes bound what memory has of a row that is over: 16 of the string, 32 of its id
// or 48 with the bucket's name, 56 of the brief with its revision, in a map that may be
// half empty.
const briefBytes = 2*(16+56) + 48 + 64

func TestMemoryHasABriefOfWhatIsOver(t *testing.T) {
	const rows = 20000
	table := newTable((*Record).brief)
	before := heap()
	for n := range rows {
		r := ended(fmt.Sprint(n % 10))
		table.apply(r.ID, r, 4000, uint64(n+1))
	}
	assert.Less(t, heap()-before, int64(rows*briefBytes+mostRecent*8000))
	assert.Len(t, table.recent.rows, mostRecent)
	assert.Empty(t, table.open)
	runtime.KeepAlive(table)
}

// JetStream has the subject of each row in memory, for two minutes the state of subjects
// in blocks that were written, and for some seconds those blocks.
func TestMemoryOfAQueueGrowsByLittle(t *testing.T) {
	const (
		rows      = 8000
		jetStream = 250     // bytes a row
		others    = 6 << 20 // those that were wanted last, tables of encoding/json, one block
	)
	q := openTest(t, Options{})
	before := heap()
	var wg sync.WaitGroup
	for user := range 20 {
		wg.Go(func() {
			for range rows / 20 {
				r := ended(fmt.Sprint(user))
				assert.NoError(t, q.Jobs.Create(t.Context(), r.ID, r))
			}
		})
	}
	wg.Wait()
	assert.Eventually(t, func() bool {
		return heap()-before < rows*(briefBytes+jetStream)+others
	}, 2*time.Minute, time.Second)
}

// What is over is read from the bucket, and is what was written.
func TestWhatIsOverIsReadAgain(t *testing.T) {
	q := openTest(t, Options{})
	var ids []string
	want := map[string]*Record{}
	for range mostRecent + 44 {
		r := ended("a")
		require.NoError(t, q.Jobs.Create(t.Context(), r.ID, r))
		ids = append(ids, r.ID)
		want[r.ID] = r
	}
	require.Len(t, q.Jobs.recent.rows, mostRecent)
	n := 0
	for r, err := range q.Jobs.Rows(t.Context(), ids) {
		require.NoError(t, err)
		assert.Equal(t, want[r.ID], r)
		n++
	}
	assert.Len(t, ids, n)
	require.Len(t, q.Jobs.recent.rows, mostRecent)

	changed, err := q.Jobs.Update(t.Context(), ids[0], func(r *Record) error { r.Dead = true; return nil })
	require.NoError(t, err)
	have, err := q.Jobs.Get(t.Context(), ids[0])
	require.NoError(t, err)
	assert.Same(t, changed, have, "the newest is the one that is had")
	require.NoError(t, q.Jobs.Delete(t.Context(), ids[1]))
	_, err = q.Jobs.Get(t.Context(), ids[1])
	require.ErrorIs(t, err, ErrNotFound)
}

func TestPagesHaveEveryRowOnceTheNewestFirst(t *testing.T) {
	table := newTable((*Record).brief)
	begin := time.Now()
	const rows = 5000
	for n := range rows {
		r := record([]string{"a", "b"}[n%2], "")
		r.Created = begin.Add(time.Duration(n/3) * time.Second) // several at a time
		table.apply(r.ID, r, 0, uint64(n+1))
	}
	of := func(b Brief) bool { return b.Of("b") }
	all := table.Newest(rows, "", of)
	require.Len(t, all, rows/2)
	for i := 1; i < len(all); i++ {
		assert.GreaterOrEqual(t, table.rows[all[i-1]].Created, table.rows[all[i]].Created)
	}
	var paged []string
	for after := ""; ; after = paged[len(paged)-1] {
		page := table.Newest(99, after, of)
		if len(page) == 0 {
			break
		}
		assert.LessOrEqual(t, len(page), 99)
		paged = append(paged, page...)
	}
	assert.Equal(t, all, paged)
}
