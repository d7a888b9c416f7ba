package plan

import (
	"regexp"
	"slices"
	"strings"
)

// sideWord is left or right in the name of a label, by itself.
var sideWord = regexp.MustCompile(`(?i)(^|[^a-z])(left|right|l|r|lt|rt|lh|rh)([^a-z]|$)`)

// Sides lists pairs of labels that are the left and the right one of a structure, by
// their names: "left kidney", "kidney_right", "Hippocampus L".
func (p *Plan) Sides() (pairs [][2]string) {
	left := map[string]string{} // name without the side → label
	side := func(l Label) (rest string, isLeft, ok bool) {
		m := sideWord.FindStringSubmatchIndex(l.Name)
		if m == nil {
			return "", false, false
		}
		word := strings.ToLower(l.Name[m[4]:m[5]])
		return strings.ToLower(l.Name[:m[4]] + "*" + l.Name[m[5]:]), word[0] == 'l', true
	}
	for _, l := range p.Labels {
		if rest, isLeft, ok := side(l); ok && isLeft {
			left[rest] = l.Name
		}
	}
	for _, l := range p.Labels {
		if rest, isLeft, ok := side(l); ok && !isLeft && left[rest] != "" {
			pairs = append(pairs, [2]string{left[rest], l.Name})
		}
	}
	return pairs
}

// WithoutMirror turns mirroring off along an axis D H W of the files, in training and
// prediction: a network that sees scans mirrored cannot tell left from right.
func (p *Plan) WithoutMirror(axis int) {
	i := slices.Index(p.Transpose[:], axis)
	p.Recipe = p.Recipe.Clone()
	for t := range p.Recipe.Augmentation {
		if p.Recipe.Augmentation[t].Op == Mirror {
			p.Recipe.Augmentation[t].Axes[i] = false
		}
	}
	p.Recipe.Inference.Mirror[i] = false
}
