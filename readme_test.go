package epcclogs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestREADME looks for each Go block of README.md in the tests and in the examples,
// which are run: its lines must stand there one after the other, indentation aside.
func TestREADME(t *testing.T) {
	dedent := regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString
	read := func(name string) string {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		return strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	tests, _ := filepath.Glob("*_test.go")
	examples, _ := filepath.Glob("examples/*/*.go")
	var code string
	for _, name := range slices.Concat(tests, examples) {
		code += "\n" + dedent(read(name), "")
	}

	readme := read("README.md")
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatchIndex(readme, -1)
	assert.NotEmpty(t, blocks)
	for _, block := range blocks {
		lines := strings.SplitAfter(dedent(readme[block[2]:block[3]], ""), "\n")
		same := len(lines)
		for !strings.Contains(code, "\n"+strings.Join(lines[:same], "")) {
			same--
		}
		if same < len(lines) {
			line := 1 + strings.Count(readme[:block[2]], "\n") + same
			t.Errorf("README.md:%d is not in *_test.go or examples/*/*.go, where the %d lines of the block before it are:\n\t%s"+
				"Write the block into recipes_test.go, or a program into examples, and copy it from there.", line, same, lines[same])
		}
	}
}
