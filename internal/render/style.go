package render

import (
	"image/color"
	"strings"

	"charm.land/lipgloss/v2"
)

// paint is what is written before and after a coloured text.
type paint struct{ on, off string }

// palette holds the paints of text and tables. Its zero value is colourless.
// It uses the terminal's own sixteen colours, so that its theme holds.
type palette struct {
	dim, good, bad, note, name, head, bar paint
}

func newPalette(wanted bool) palette {
	if !wanted {
		return palette{}
	}
	s := lipgloss.NewStyle
	ansi := func(n string) color.Color { return lipgloss.Color(n) }
	return palette{
		dim:  toPaint(s().Faint(true)),
		good: toPaint(s().Foreground(ansi("2"))),
		bad:  toPaint(s().Foreground(ansi("1"))),
		note: toPaint(s().Foreground(ansi("3"))),
		name: toPaint(s().Bold(true)),
		head: toPaint(s().Bold(true)),
		bar:  toPaint(s().Foreground(ansi("6"))),
	}
}

// toPaint takes a style apart, so that a line costs no rendering.
func toPaint(s lipgloss.Style) paint {
	on, off, _ := strings.Cut(s.Render("x"), "x")
	return paint{on, off}
}
