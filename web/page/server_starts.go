package page

import "time"

// startsAfter is about how long a job waits behind n others on devices that each take
// seconds for one: those that run are half done, in the mean. 0: not known.
func startsAfter(n int, seconds float64, devices int) time.Duration {
	if devices == 0 {
		return 0
	}
	return time.Duration((float64(n) + .5) * seconds / float64(devices) * float64(time.Second))
}

// placed takes the place of a job in the queue, which was another one before, and counts
// the time from then on.
func (p *Page) placed(was int) {
	s := &p.Server
	if !s.placed.IsZero() && s.Job.Position == was {
		return
	}
	devices := 0
	for _, d := range s.Info.Devices {
		if d.State != "lost" {
			devices++
		}
	}
	s.placed, s.starts = p.Host.Now(), 0
	if s.Job.Position > 0 || s.Info.Running >= devices { // else one takes it at once
		s.starts = startsAfter(s.Job.Position, s.Info.JobSeconds, devices)
	}
	const looks = 20 // until then, and one beyond it
	for i := 0; s.starts > 0 && i <= looks; i++ {
		p.Host.After(time.Duration(i+1)*s.starts/looks, func() {}) // what is shown is drawn again
	}
}

// StartsText says when the job begins, "" where nobody knows, or it should have begun.
func (s *Server) StartsText(now time.Time) string {
	left := s.starts - now.Sub(s.placed)
	if s.Stage != ServerQueue || s.Waiting || s.starts == 0 || left <= 0 {
		return ""
	}
	return "starts in " + About(left)
}
