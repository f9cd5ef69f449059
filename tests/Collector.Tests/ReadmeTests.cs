using System.Runtime.CompilerServices;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Tests;

public sealed class ReadmeTests
{
    private static readonly string[] s_lines = File.ReadAllLines(Path.Combine(Path.GetDirectoryName(SourcePath())!, "..", "..", "README.md"));

    [Fact]
    public void The_options_table_has_every_setting_as_it_is()
    {
        foreach (var setting in SettingsTable.All)
        {
            string option = (setting.Letter is char letter ? $"-{letter}, " : "") + setting.LongOption + (setting.Kind == SettingKind.Flag ? "" : $" {setting.ValueName}");
            string defaultText = setting.DefaultText.Length == 0 ? "" : $"`{setting.DefaultText}`";
            Assert.Contains($"| `{option.Replace("|", "\\|", StringComparison.Ordinal)}` | `{setting.EnvironmentVariable}` | {defaultText} | {setting.Help} |", s_lines);
        }
    }

    [Theory]
    [InlineData("./netdump-collector serve ")]
    [InlineData("./test.sh ")]
    [InlineData("dumpon -s 192.0.2.1 -c 192.0.2.50 -g 192.0.2.254 vtnet0")]
    public void An_operator_finds_the_commands(string command) => Assert.Contains(s_lines, line => line.StartsWith(command, StringComparison.Ordinal));

    private static string SourcePath([CallerFilePath] string path = "") => path;
}
