package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable is text as it may be shown on a terminal: control characters, which a
// file name or header can have and a terminal obeys, and marks that turn the
// direction of writing are written as \x1b or \u202e, which JSON reads. New lines and tabs stay.
func printable(text string) string {
	if !strings.ContainsFunc(text, unprintable) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r < ' ' && unprintable(r):
			fmt.Fprintf(&b, `\x%02x`, r) // JSON has none of these
		case unprintable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

func unprintable(r rune) bool {
	return r != '\n' && r != '\t' && (r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
}

// printer is a writer of printable text. A character that comes in two writes is
// written whole with the second.
type printer struct {
	out  io.Writer
	rest []byte // of a character that has begun
}

func (p *printer) Write(b []byte) (int, error) {
	text := append(p.rest, b...)
	end := len(text)
	for n := 1; n < utf8.UTFMax && n <= end; n++ {
		if begin := text[end-n:]; utf8.RuneStart(begin[0]) {
			if !utf8.FullRune(begin) {
				end -= n
			}
			break
		}
	}
	p.rest = append([]byte(nil), text[end:]...)
	if _, err := io.WriteString(p.out, printable(string(text[:end]))); err != nil {
		return 0, err
	}
	return len(b), nil
}
