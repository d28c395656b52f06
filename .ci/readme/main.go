// Readme takes the Go blocks out of README.md, puts them into a new module
// outside the repository, and runs them against the embedded service.
//
// A block that starts with a package main clause is a program. It is run with the
// service's address and credentials in the EPCC variables and an integration's id
// as its argument. A block with a test function is run with go test. Any other
// block is a fragment: the body of a function that has ctx, client and
// integrationID and returns an error. Its imports are added. It is run twice, so
// that the second run finds the files of the first. One that follows a list gets
// a context that ends soon, since nothing else ends it.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/epcclogs/epcclogs/epcclogstest"
)

// imports are the packages that are imported for a block that names them.
var imports = map[string]string{
	"context":      "context",
	"epcclogs":     "github.com/epcclogs/epcclogs",
	"epcclogstest": "github.com/epcclogs/epcclogs/epcclogstest",
	"errors":       "errors",
	"fmt":          "fmt",
	"http":         "net/http",
	"json":         "encoding/json",
	"log":          "log",
	"os":           "os",
	"slog":         "log/slog",
	"testing":      "testing",
	"time":         "time",
}

// fragmentsMain runs the fragments, which take the place of %s.
const fragmentsMain = `package main

import (
	"context"
	"log"
	"os"
	"slices"
	"time"

	"github.com/epcclogs/epcclogs"
)

func main() {
	log.SetFlags(0)
	client, err := epcclogs.NewClient(
		epcclogs.WithBaseURL(os.Getenv("EPCC_API_BASE_URL")),
		epcclogs.WithToken("not-a-real-token"),
	)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range slices.Concat(fragments, fragments) {
		log.Print("+ fragment at ", f.at)
		ctx, cancel := context.WithTimeout(context.Background(), f.timeout)
		err := f.run(ctx, client, os.Args[1])
		cancel()
		if err != nil {
			log.Fatal(f.at, ": ", err)
		}
	}
}

var fragments = []struct {
	at      string
	timeout time.Duration
	run     func(context.Context, *epcclogs.Client, string) error
}{
%s}
`

// block is a Go block of the README.
type block struct {
	line int // of its first line of code
	code string
}

func (b block) at() string { return fmt.Sprintf("README.md:%d", b.line) }

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "readme:", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		return err
	}
	blocks, err := goBlocks(string(readme))
	if err != nil {
		return err
	}

	dir, err := os.MkdirTemp("", "readme")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	m := module{dir: dir}
	for i, b := range blocks {
		if err := m.add(fmt.Sprintf("block%d", i+1), b); err != nil {
			return err
		}
	}
	if err := m.finish(root); err != nil {
		return err
	}
	for _, name := range m.programs {
		if err := runProgram(dir, name); err != nil {
			return err
		}
	}
	for _, name := range m.tests {
		out, err := command(dir, "go", "test", "-count=1", "-v", "./"+name)
		if err != nil {
			return err
		}
		if !bytes.Contains(out, []byte("--- PASS: ")) {
			return fmt.Errorf("no test ran in %s", name)
		}
	}
	fmt.Printf("README.md: %d Go blocks ran, %d of them tests and %d fragments\n", len(blocks), len(m.tests), m.count)
	return nil
}

// module is the module in dir that the blocks are put into.
type module struct {
	dir             string
	programs, tests []string        // directories
	fragments       strings.Builder // the elements of the variable in fragmentsMain
	count           int             // of the fragments
}

// add puts a block into the directory name, or among the fragments.
func (m *module) add(name string, b block) error {
	code := fmt.Sprintf("//line %s\n", b.at()) + b.code
	var err error
	switch {
	case b.isProgram():
		m.programs = append(m.programs, name)
		return write(filepath.Join(m.dir, name, "main.go"), code)
	case strings.Contains("\n"+b.code, "\nfunc Test"):
		m.tests = append(m.tests, name)
		if !strings.Contains("\n"+b.code, "\npackage ") {
			if code, err = addImports("package readme_test\n", code); err != nil {
				return err
			}
		}
		return write(filepath.Join(m.dir, name, "main_test.go"), code)
	}
	m.count++
	timeout := time.Minute
	if strings.Contains(b.code, ".Follow(") {
		timeout = 2 * time.Second
	}
	fmt.Fprintf(&m.fragments, "\t{%q, %d, %s},\n", b.at(), timeout, name)
	code = "func " + name + "(ctx context.Context, client *epcclogs.Client, integrationID string) error {\n" +
		code + "return nil\n}\n"
	if code, err = addImports("package main\n", code); err != nil {
		return err
	}
	return write(filepath.Join(m.dir, "fragments", name+".go"), code)
}

// finish writes the program that runs the fragments, and the files of the module,
// which uses the one in root.
func (m *module) finish(root string) error {
	if m.count > 0 {
		m.programs = append(m.programs, "fragments")
		err := write(filepath.Join(m.dir, "fragments", "main.go"), fmt.Sprintf(fragmentsMain, m.fragments.String()))
		if err != nil {
			return err
		}
	}
	return writeModule(m.dir, root)
}

// goBlocks returns the blocks between ```go and ``` at the beginning of a line.
func goBlocks(text string) ([]block, error) {
	var blocks []block
	inside := false
	for i, line := range strings.Split(text, "\n") {
		last := len(blocks) - 1
		switch {
		case !inside && strings.TrimSpace(line) == "```go":
			inside = true
			blocks = append(blocks, block{line: i + 2})
		case inside && strings.TrimSpace(line) == "```":
			inside = false
		case inside:
			blocks[last].code += line + "\n"
		}
	}
	if inside {
		return nil, errors.New("the last Go block of README.md is not closed")
	}
	if len(blocks) == 0 {
		return nil, errors.New("README.md has no Go blocks")
	}
	return blocks, nil
}

// isProgram reports whether the first line that is not a comment is package main.
func (b block) isProgram() bool {
	for line := range strings.Lines(b.code) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "//") {
			return line == "package main"
		}
	}
	return false
}

// addImports puts the imports that code needs between the package clause and it.
func addImports(clause, code string) (string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", clause+code, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	// Names that are declared nowhere are packages. Other errors are for the
	// compiler to report.
	info := types.Info{Uses: make(map[*ast.Ident]types.Object)}
	conf := types.Config{Error: func(error) {}}
	_, _ = conf.Check("", fset, []*ast.File{file}, &info)
	var missing []string
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && info.Uses[x] == nil && imports[x.Name] != "" {
				missing = append(missing, fmt.Sprintf("import %q\n", imports[x.Name]))
			}
		}
		return true
	})
	slices.Sort(missing)
	return clause + strings.Join(slices.Compact(missing), "") + code, nil
}

// writeModule makes dir a module that uses the one in root.
func writeModule(dir, root string) error {
	modFile, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	goLine := ""
	for line := range strings.Lines(string(modFile)) {
		if strings.HasPrefix(line, "go ") {
			goLine = line
		}
	}
	err = write(filepath.Join(dir, "go.mod"), "module example.com/readme\n"+goLine+
		"require "+imports["epcclogs"]+" v0.0.0\nreplace "+imports["epcclogs"]+" => "+root+"\n")
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	if err := write(filepath.Join(dir, "go.sum"), string(sums)); err != nil {
		return err
	}
	_, err = command(dir, "go", "mod", "tidy")
	return err
}

// runProgram builds and runs the program in the directory name, with a service of
// its own.
func runProgram(dir, name string) error {
	srv := epcclogstest.NewServer()
	defer srv.Close()
	for key, value := range map[string]string{
		"EPCC_API_BASE_URL":  srv.URL,
		"EPCC_CLIENT_ID":     "readme",
		"EPCC_CLIENT_SECRET": "not-a-real-secret",
	} {
		if err := os.Setenv(key, value); err != nil {
			return err
		}
	}
	binary := filepath.Join(dir, name, "program")
	if _, err := command(dir, "go", "build", "-o", binary, "./"+name); err != nil {
		return err
	}
	_, err := command(dir, binary, epcclogstest.SampleIntegration(0).ID)
	return err
}

// command runs a command in dir, shows its output and returns it.
func command(dir string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	fmt.Println("+", strings.ReplaceAll(strings.Join(args, " "), dir+string(filepath.Separator), ""))
	out, err := cmd.CombinedOutput()
	_, _ = os.Stdout.Write(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(args[0]), err)
	}
	return out, nil
}

func write(name, content string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(content), 0o644)
}
