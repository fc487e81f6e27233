package playground;

import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.CharArraySet;
import org.apache.lucene.analysis.LowerCaseFilter;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.en.EnglishMinimalStemFilter;
import org.apache.lucene.analysis.en.EnglishPossessiveFilter;
import org.apache.lucene.analysis.en.KStemFilter;
import org.apache.lucene.analysis.en.PorterStemFilter;
import org.apache.lucene.analysis.miscellaneous.ASCIIFoldingFilter;
import org.apache.lucene.analysis.ru.RussianAnalyzer;
import org.apache.lucene.analysis.ru.RussianLightStemFilter;
import org.apache.lucene.analysis.snowball.SnowballFilter;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.index.analysis.Analysis;
import org.elasticsearch.index.analysis.AnalyzerProvider;
import org.elasticsearch.index.analysis.AnalyzerScope;
import org.elasticsearch.index.analysis.NormalizingTokenFilterFactory;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.Plugin;
import org.tartarus.snowball.ext.EnglishStemmer;
import org.tartarus.snowball.ext.RussianStemmer;

/**
 * English and Russian analysis for an Elasticsearch whose own module for it is not published.
 *
 * <p>Names and defaults are those of Elasticsearch, so a mapping written for a real cluster is
 * understood here: analyzers english and russian; filters stemmer, lowercase and asciifolding.
 */
public final class AnalysisPlugin extends Plugin implements org.elasticsearch.plugins.AnalysisPlugin {

    private static final Map<String, UnaryOperator<TokenStream>> STEMMERS = Map.of(
        "english", PorterStemFilter::new,
        "porter", PorterStemFilter::new,
        "porter2", words -> new SnowballFilter(words, new EnglishStemmer()),
        "light_english", KStemFilter::new,
        "kstem", KStemFilter::new,
        "minimal_english", EnglishMinimalStemFilter::new,
        "possessive_english", EnglishPossessiveFilter::new,
        "russian", words -> new SnowballFilter(words, new RussianStemmer()),
        "light_russian", RussianLightStemFilter::new);

    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        Map<String, AnalysisProvider<TokenFilterFactory>> filters = new TreeMap<>();
        filters.put("stemmer", (index, env, name, settings) -> new Step(name, stemmer(settings)));
        filters.put("lowercase", (index, env, name, settings) -> new CharStep(name, LowerCaseFilter::new));
        filters.put("asciifolding", (index, env, name, settings) -> {
            boolean both = settings.getAsBoolean("preserve_original", false);
            return new CharStep(name, words -> new ASCIIFoldingFilter(words, both));
        });
        return filters;
    }

    @Override
    public Map<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> getAnalyzers() {
        Map<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> analyzers = new TreeMap<>();
        analyzers.put("english", language(EnglishAnalyzer.getDefaultStopSet(), EnglishAnalyzer::new));
        analyzers.put("russian", language(RussianAnalyzer.getDefaultStopSet(), RussianAnalyzer::new));
        return analyzers;
    }

    private static AnalysisProvider<AnalyzerProvider<? extends Analyzer>> language(
            CharArraySet usualStops, Function<CharArraySet, Analyzer> analyzer) {
        return (index, env, name, settings) ->
            new Ready(name, analyzer.apply(Analysis.parseStopWords(env, settings, usualStops)));
    }

    private static UnaryOperator<TokenStream> stemmer(Settings settings) {
        String wanted = settings.get("language", settings.get("name", "porter"));
        UnaryOperator<TokenStream> found = STEMMERS.get(wanted);
        if (found == null) {
            throw new IllegalArgumentException(
                "the playground has no stemmer [" + wanted + "], only " + new TreeMap<>(STEMMERS).keySet());
        }
        return found;
    }

    /** A filter for analyzers. */
    private static class Step implements TokenFilterFactory {
        private final String name;
        private final UnaryOperator<TokenStream> step;

        Step(String name, UnaryOperator<TokenStream> step) {
            this.name = name;
            this.step = step;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public TokenStream create(TokenStream words) {
            return step.apply(words);
        }
    }

    /** A filter that works letter by letter and may therefore stand in a normalizer too. */
    private static final class CharStep extends Step implements NormalizingTokenFilterFactory {
        CharStep(String name, UnaryOperator<TokenStream> step) {
            super(name, step);
        }

        @Override
        public TokenStream normalize(TokenStream word) {
            return create(word);
        }
    }

    /** An analyzer of an index, made once. */
    private record Ready(String name, Analyzer get) implements AnalyzerProvider<Analyzer> {
        @Override
        public AnalyzerScope scope() {
            return AnalyzerScope.INDEX;
        }
    }
}
