// Answers, a line for each line, what kubectl makes of a document: a line holds a YAML document in base64, and the
// answer is its JSON, or "refused", and then whether its strict reader says that a key is given twice. For the
// tests alone.
package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

const longest = 1 << 20

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, longest), longest)
	answers := bufio.NewWriter(os.Stdout)
	defer answers.Flush()
	for lines.Scan() {
		fmt.Fprintln(answers, answer(lines.Text()))
	}
}

func answer(line string) string {
	text, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return "no base64"
	}
	found, err := yaml.YAMLToJSON(text)
	if err != nil {
		return "refused"
	}
	_, err = yaml.YAMLToJSONStrict(text)
	twice := err != nil && strings.Contains(err.Error(), "already set in map")
	return fmt.Sprintf("%t\t%s", twice, found)
}
