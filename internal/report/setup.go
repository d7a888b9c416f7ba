package report

import (
	"fmt"
	"strconv"

	"github.com/gounet/gounet/core/train"
)

// setup is the plan in lines, and the facts of the caller.
func (r *Report) setup() []Fact {
	var f []Fact
	if c := r.config(); c != nil {
		f = append(f,
			Fact{"Configuration", c.Name},
			Fact{"Patch", join(c.Patch[3-c.Dim:], "×") + " voxels"},
			Fact{"Batch", strconv.Itoa(c.Batch)},
			Fact{"Features", join(c.Network.Features, ", ")},
			Fact{"Spacing", spacing(c.Spacing[3-c.Dim:])},
			Fact{"Normalization", join(c.Normalization, ", ")},
			Fact{"Optimizer", fmt.Sprintf("%s, learning rate %g, %s", r.Plan.Recipe.Optimizer.Kind, r.Plan.Recipe.Optimizer.LearningRate, r.Plan.Recipe.Schedule.Kind)},
			Fact{"Planner", r.Plan.Planner},
		)
	}
	return append(f, r.Facts...)
}

func spacing(mm []float64) string {
	s := make([]string, len(mm))
	for i, v := range mm {
		s[i] = strconv.FormatFloat(v, 'g', 4, 64)
	}
	return join(s, "×") + " mm"
}

// timeView says where the time of a training went.
type timeView struct {
	Total   string
	Parts   []timePart // they follow each other and sum to Total
	Beside  []timePart // on other threads, while the steps ran
	Skipped int        // steps without an update
}

type timePart struct {
	Name, Class, Note string
	Seconds           string
	Percent           float64 // of the total
	Share             string
}

// newTimeView reads the times of a log; the last epoch has the sums.
func newTimeView(epochs []train.Epoch) *timeView {
	total := seconds(epochs)
	last := epochs[len(epochs)-1]
	t := last.Time
	if !(total > 0) {
		return nil
	}
	v := &timeView{Total: duration(total), Skipped: last.Skipped}
	part := func(name, class, note string, s float64) timePart {
		share := 100 * s / total
		return timePart{Name: name, Class: class, Note: note, Seconds: duration(s), Percent: round(min(max(share, 0), 100)), Share: fmt.Sprintf("%.1f %%", share)}
	}
	v.Parts = []timePart{
		part("Steps", "t-step", "forward, backward, optimizer", t.Step),
		part("Validation", "t-val", "patches after each epoch", t.Validate),
		part("Waiting", "t-wait", "steps that had no batch ready", t.Wait),
		part("Other", "t-other", "logs, checkpoints", max(0, total-t.Step-t.Validate-t.Wait)),
	}
	v.Beside = []timePart{
		part("Loading", "", "patches out of the preprocessed cases", t.Load),
		part("Augmentation", "", "drawing random parameters", t.Augment),
	}
	return v
}
