using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using System.Text;

namespace NetdumpCollector.Telemetry;

/// <summary>One count for each value of an enumeration; each is there from the start, with 0.</summary>
internal sealed class CountsBy<T> where T : struct, Enum
{
    private readonly long[] _counts = new long[Enum.GetValues<T>().Length];
    private readonly KeyValuePair<string, object?>[][] _tags;

    /// <param name="label">What the values are, in metrics.</param>
    public CountsBy(string label) => _tags = [.. Enum.GetNames<T>().Select(name => new[] { new KeyValuePair<string, object?>(label, SnakeCase(name)) })];

    public long Sum
    {
        get
        {
            long sum = 0;
            for (int i = 0; i < _counts.Length; i++)
                sum += Interlocked.Read(ref _counts[i]);
            return sum;
        }
    }

    public long this[T value] => Interlocked.Read(ref _counts[IndexOf(value)]);

    /// <summary>Counts one more and returns how many there are.</summary>
    public long Add(T value) => Interlocked.Increment(ref _counts[IndexOf(value)]);

    public IEnumerable<Measurement<long>> Measure()
    {
        for (int i = 0; i < _counts.Length; i++)
            yield return new(Interlocked.Read(ref _counts[i]), _tags[i]);
    }

    // The values of an enumeration that is counted are 0, 1, 2 and so on.
    private static int IndexOf(T value) => Unsafe.As<T, int>(ref value);

    private static string SnakeCase(string name)
    {
        var words = new StringBuilder();
        foreach (char c in name)
        {
            if (char.IsUpper(c) && words.Length > 0)
                words.Append('_');
            words.Append(char.ToLowerInvariant(c));
        }

        return words.ToString();
    }
}
