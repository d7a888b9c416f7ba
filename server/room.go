package server

import (
	"os"
	"sync"
	"time"

	"github.com/gounet/gounet/server/queue"
)

// claims are the uploads that arrive and have no record yet, with the bytes that they
// said to have.
type claims struct {
	mu  sync.Mutex
	all map[string]int64
}

// slow is how long an upload without a new byte keeps the room for its rest.
const slow = time.Hour

// claim makes sure that an upload of so many bytes leaves the reserve of the disk free,
// also when those that are on their way have arrived. Leave has to be called when it
// has a record, or is over.
func (s *Server) claim(id string, bytes int64) (leave func(), err error) {
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	if err := s.parts.Room(bytes + s.due()); err != nil {
		return nil, err
	}
	if s.claims.all == nil {
		s.claims.all = map[string]int64{}
	}
	s.claims.all[id] = bytes
	return func() {
		s.claims.mu.Lock()
		defer s.claims.mu.Unlock()
		delete(s.claims.all, id)
	}, nil
}

// due are the bytes of uploads that have yet to come.
func (s *Server) due() (bytes int64) {
	coming := map[string]int64{}
	s.queue.Uploads.EachOpen(func(id string, u *queue.UploadRecord) bool {
		coming[id] = u.Bytes
		return true
	})
	now := time.Now()
	for id, all := range coming {
		if stat, err := os.Stat(s.part(id)); err == nil && s.claims.all[id] == 0 && now.Sub(stat.ModTime()) < slow {
			bytes += max(all-stat.Size(), 0)
		}
	}
	for id, all := range s.claims.all {
		here := int64(0)
		if stat, err := os.Stat(s.part(id)); err == nil {
			here = stat.Size()
		}
		bytes += max(all-here, 0)
	}
	return bytes
}
