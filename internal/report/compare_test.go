package report

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/train"
)

// two are runs of which the second is wider, trained longer and better in most cases.
func two() *Comparison {
	c := &Comparison{Title: "Test"}
	nan := math.NaN()
	for i, dice := range [][][2]float64{
		{{0.5, 0.75}, {0.25, 0.5}, {0.75, nan}, {0.5, 0.5}},
		{{0.75, 0.75}, {0.5, 0.25}, {1, 0}, {0.5, 0.75}},
	} {
		r := full()
		run := Run{Name: string(rune('a' + i)), Plan: r.Plan, Configuration: r.Configuration, Epochs: r.Epochs, Facts: []Fact{{"Seed", "7"}, {"Device", "cpu"}}}
		var cases []metric.Case
		for k, d := range dice {
			id := string(rune('w' + i + k)) // w x y z, x y z {
			cases = append(cases, metric.Case{PredictionFile: id + ".nii.gz", Scores: []metric.Scores{{Dice: d[0], NRef: 10}, {Dice: d[1], NRef: 5}}})
		}
		run.Summary = metric.Summarize(metric.Targets([]int{1, 2}), cases, false)
		c.Runs = append(c.Runs, run)
	}
	b := &c.Runs[1]
	b.Plan.Configurations[0].Network.Features = []int{16, 32}
	b.Plan.Recipe.Schedule.Epochs = 12
	b.Plan.Recipe.Augmentation = b.Plan.Recipe.Augmentation[1:] // without the rotation
	b.Epochs = b.Epochs[:7]
	b.Facts[0].Value = "8"
	return c
}

func compare(t *testing.T, c *Comparison) (*Compared, []byte) {
	t.Helper()
	found, err := c.Compare()
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, c.Write(&b, found))
	return found, b.Bytes()
}

func TestDifferencesAreOverTheCasesOfBothRuns(t *testing.T) {
	found, _ := compare(t, two())
	require.Len(t, found.Structures, 3)

	// x y z: b − a = 0.75−0.25, 0.5−0.75, 1−0.5
	first := found.Structures[1]
	assert.Equal(t, "first", first.Name)
	assert.Equal(t, 4, first.Runs[0].Cases)
	assert.Equal(t, train.Number(0.5), first.Runs[0].Dice)
	assert.Zero(t, first.Runs[0].Common)
	assert.Equal(t, Scored{
		Cases: 4, Dice: 0.6875, Common: 3, Difference: 0.25, P: 0.5, Better: 2, Worse: 1, // ranks 1 and 2·2.5: 2·P(W ≤ 1) = 2·2/8
		Best: &CaseChange{"z", 0.5}, Worst: &CaseChange{"y", -0.25},
	}, first.Runs[1])

	// y has no Dice in a: x 0.75−0.5, z 0−0.5
	second := found.Structures[2].Runs[1]
	assert.Equal(t, 2, second.Common)
	assert.Equal(t, train.Number(-0.125), second.Difference)
	assert.Equal(t, []int{1, 1}, []int{second.Better, second.Worse})

	// of y only what both have: 0.5 − 0.75
	whole := found.Structures[0]
	assert.Equal(t, "All structures", whole.Name)
	assert.Equal(t, train.Number(two().Runs[1].Summary.ForegroundMean.Dice), whole.Runs[1].Dice)
	assert.Equal(t, 3, whole.Runs[1].Common)
	assert.InDelta(t, (0.375-0.25+0)/3, float64(whole.Runs[1].Difference), 1e-15) // x y z
	assert.Equal(t, &CaseChange{"x", 0.375}, whole.Runs[1].Best)

	c := two()
	c.Runs[1].Summary.Cases = c.Runs[1].Summary.Cases[3:] // a case that only b has
	found, _ = compare(t, c)
	lone := found.Structures[1].Runs[1]
	assert.Equal(t, 0, lone.Common)
	assert.Nil(t, lone.Best)
	text, err := json.Marshal(lone)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"mean_difference":null,"p":null`)
}

func TestOnlySettingsThatDifferAreListed(t *testing.T) {
	found, _ := compare(t, two())
	got := map[string][]string{}
	for _, d := range found.Differences {
		got[d.Name] = d.Values
	}
	assert.Equal(t, []string{"8, 16", "16, 32"}, got["network.features"])
	assert.Equal(t, []string{"1000", "12"}, got["recipe.schedule.epochs"])
	assert.Equal(t, []string{"7", "8"}, got["Seed"])
	assert.Equal(t, []string{"0.2", none}, got["recipe.augmentation.rotation.p"])
	assert.Contains(t, got, "recipe.augmentation")
	for name := range got {
		known := strings.HasPrefix(name, "recipe.augmentation.rotation.") || strings.Contains(" network.features recipe.schedule.epochs Seed recipe.augmentation ", " "+name+" ")
		assert.True(t, known, "%s is the same in both", name)
	}
	same := two()
	same.Runs[1] = same.Runs[0]
	found, document := compare(t, same)
	assert.Empty(t, found.Differences)
	assert.Contains(t, string(document), "are the same")
}

func TestCurvesOfAllRunsShareAPicture(t *testing.T) {
	_, document := compare(t, two())
	charts := 0
	for _, e := range parse(t, document) {
		if e.name == "svg" && strings.HasPrefix(e.attr["aria-label"], "Loss over 12 epochs") {
			charts++
			for _, want := range []string{"a, training from 1.000 to", "a, validation from", "b, training from", "b, validation from"} {
				assert.Contains(t, e.attr["aria-label"], want)
			}
		}
	}
	assert.Equal(t, 1, charts)
}

func TestComparisonNamesItsTablesAndPictures(t *testing.T) {
	c := two()
	c.Runs = append(c.Runs, Run{Name: "c", Plan: c.Runs[0].Plan, Configuration: "3d_fullres"})
	_, document := compare(t, c)
	all := parse(t, document)
	ids := map[string]bool{}
	for _, e := range all {
		ids[e.attr["id"]] = true
	}
	sections := 0
	for _, e := range all {
		if at := e.attr["aria-labelledby"]; at != "" {
			sections++
			assert.True(t, ids[at], "%s points nowhere", at)
		}
		switch e.name {
		case "th":
			assert.Contains(t, []string{"col", "row", "colgroup"}, e.attr["scope"])
		case "svg":
			assert.True(t, e.attr["aria-hidden"] == "true" || e.attr["role"] == "img" && e.attr["aria-label"] != "")
		}
	}
	assert.Greater(t, sections, 10)
}

func TestTimeOfAStepIsTheMean(t *testing.T) {
	c := two()
	c.Runs[0].Plan.Recipe.Schedule.Iterations = 4
	c.Runs[1].Plan.Recipe.Schedule.Iterations = 2
	found, document := compare(t, c)
	assert.Equal(t, train.Number(12.0/(12*4)), found.Runs[0].StepSeconds)
	assert.Equal(t, train.Number(7.0/(7*2)), found.Runs[1].StepSeconds)
	assert.Contains(t, string(document), "<td>0.250 s</td><td>0.500 s</td>")
	assert.Equal(t, []string{"24.0 ms", "99.9 ms", "0.100 s", "1.250 s"}, []string{stepTime(0.024), stepTime(0.0999), stepTime(0.1), stepTime(1.25)})
}

func TestWhatARunHasNotIsSaid(t *testing.T) {
	c := two()
	c.Runs[1].Summary, c.Runs[1].Epochs = nil, nil
	found, document := compare(t, c)
	assert.Equal(t, []string{"it has no log of its epochs", "it is not validated yet"}, found.Runs[1].Missing)
	assert.Equal(t, []string{"it has trained 12 of 1000 epochs"}, found.Runs[0].Missing)
	assert.Contains(t, string(document), "<li>b: it is not validated yet</li>")
	text, err := json.Marshal(found)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"seconds_a_step":null`)

	for name, change := range map[string]func(c *Comparison){
		"nothing":       func(*Comparison) {},
		"first summary": func(c *Comparison) { c.Runs[0].Summary = nil },
		"no summary":    func(c *Comparison) { c.Runs[0].Summary, c.Runs[1].Summary = nil, nil },
		"no cases":      func(c *Comparison) { c.Runs[1].Summary.Cases = nil },
		"other targets": func(c *Comparison) { c.Runs[1].Summary.Targets[1] = metric.Target{3} },
		"no log":        func(c *Comparison) { c.Runs[0].Epochs, c.Runs[1].Epochs = nil, nil },
		"no facts":      func(c *Comparison) { c.Runs[0].Facts, c.Runs[1].Facts = nil, nil },
		"no times":      func(c *Comparison) { c.Runs[0].Epochs = []train.Epoch{{TrainLoss: 1}} },
	} {
		t.Run(name, func(t *testing.T) {
			c := two()
			change(c)
			found, document := compare(t, c)
			parse(t, document)
			for _, word := range []string{"NaN", "Inf", "ZgotmplZ", "<no value>", "%!"} {
				assert.NotContains(t, string(document), word)
			}
			_, err := json.Marshal(found)
			require.NoError(t, err)
		})
	}
}

func TestRunsThatCannotBeComparedAreRefused(t *testing.T) {
	c := two()
	c.Runs[1].Plan.Labels[2].Name = "third"
	_, err := c.Compare()
	require.EqualError(t, err, `report: a has the labels "background" (0), "first" (1), "second" (2), and b has "background" (0), "first" (1), "third" (2): only runs with the same labels can be compared`)
	c = two()
	c.Runs[1].Summary.Cases[0].Scores[1].NRef = 6
	_, err = c.Compare()
	require.EqualError(t, err, "report: the reference of case x has 5 voxels of label 2 in the validation of a and 6 in that of b: they were validated on different data, train or validate one of them again")
	c.Runs = c.Runs[:1]
	_, err = c.Compare()
	require.ErrorContains(t, err, "wants two or more")
}

func TestHostileNamesStayTextInComparisons(t *testing.T) {
	const hostile = `</style><script>alert(1)</script>"'><img src=x onerror=alert(2)>{{.}}&amp;`
	c := two()
	c.Title, c.Runs[1].Name = hostile, hostile
	for i := range c.Runs {
		c.Runs[i].Plan.Labels[1].Name = hostile
		c.Runs[i].Facts = append(c.Runs[i].Facts, Fact{hostile, strings.Repeat(hostile, i+1)})
		c.Runs[i].Summary.Cases[1-i].PredictionFile = strings.ReplaceAll(hostile, "/", "|")
	}
	c.Runs[1].Summary = nil // its name is then among what is missing
	for range 2 {
		_, document := compare(t, c)
		ids := map[string]bool{}
		for _, e := range parse(t, document) {
			assert.NotContains(t, []string{"script", "img"}, e.name)
			assert.False(t, ids[e.attr["id"]], "id %s twice", e.attr["id"])
			ids[e.attr["id"]] = e.attr["id"] != ""
			for name, value := range e.attr {
				assert.False(t, strings.HasPrefix(name, "on"), "%s has %s", e.name, name)
				assert.False(t, name == "href" && !strings.HasPrefix(value, "#") && value != "data:,", value)
			}
		}
		assert.NotContains(t, string(document), hostile)
		c.Runs[1].Summary = two().Runs[1].Summary
	}
}
