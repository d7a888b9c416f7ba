package ui

import (
	"fmt"
	"math"

	"github.com/vugu/vugu"
	"github.com/vugu/vugu/js"

	"github.com/gounet/gounet/web/page"
)

// yes is a bool as ARIA wants it.
func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// class is a, with b added if on.
func class(a, b string, on bool) string {
	if on {
		return a + " " + b
	}
	return a
}

// tab is the tabindex of one of a group, of which one is reached by Tab.
func tab(on bool) string {
	if on {
		return "0"
	}
	return "-1"
}

// width is a style, of a share of 1.
func width(share float64) string {
	if math.IsNaN(share) {
		share = 0
	}
	return fmt.Sprintf("width:%.1f%%", 100*math.Min(math.Max(share, 0), 1))
}

// slid is the style of a slider: how far it is filled.
func slid(value, least, most float64) string {
	return fmt.Sprintf("--v:%.0f%%", 100*(value-least)/(most-least))
}

func colour(c [3]uint8) string { return "--c:" + page.Hex(c) }

// ink is the style of a swatch, and swatch its class.
func ink(k page.Ink) string { return colour(k.RGB) + ";--d:" + page.Hex(k.Stripe()) }

func swatch(k page.Ink) string { return fmt.Sprintf("sw p%d", k.Pattern) }

// typed is what is in the field of an event.
func typed(e vugu.DOMEvent) string { return e.PropString("target", "value") }

// number is typed as a whole number.
func number(e vugu.DOMEvent) int {
	n := 0
	if _, err := fmt.Sscan(typed(e), &n); err != nil {
		return 0
	}
	return n
}

// signed is a number with its sign.
func signed(x float64) string {
	if x < 0 {
		return "−" + page.ML(-x)
	}
	return "+" + page.ML(x)
}

// theirs marks an element whose content is not ours: vugu leaves what it has a
// handler for as it is.
func theirs(js.Value) {}
