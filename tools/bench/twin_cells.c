/* The twin's cell model in C, by hand: the baseline of tools/bench/twin_speed.py, which compiles it with -O3.
 *
 * The same equations, tables and order as hil/twin/cells.py (see there), in the layout a C programmer would choose: one
 * structure of arrays over all cells, one pass per group of quantities, blocks that fit the nearest cache. */
#include <math.h>
#include <stddef.h>

enum { ROWS = 52, KNOTS = 41, POINTS = 401, COLUMNS = 8, STOPS = 8, BLOCK = 96 };
enum { R0, GAIN1, DECAY1, GAIN2, DECAY2, GAIN3, DECAY3, M };
#define COLDEST -40.0
#define STEP_K 2.5
#define KELVIN 273.15

typedef struct {
    long n_points, n_knots;
    double dt_s, heat_j_per_k, between, coolant;
    const double (*at)[KNOTS][COLUMNS];
    const double (*of_degc)[3]; /* M0, gamma, efficiency */
    const double (*ocv)[POINTS];
    const double *docv_dt, *rate, *weight;
} Tables;

typedef struct {
    double *soc, *v1, *v2, *v3, *degc, *stop[STOPS], *aside, *per_coulomb, *growth, *volt, *slope;
} Cells;

static inline double held(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

void step(const Tables *t, const Cells *c, long n, double flowed, double now, double sign, double coolant)
{
    double w[COLUMNS][BLOCK], m0[BLOCK], gamma[BLOCK], eta[BLOCK], share[BLOCK], moved[BLOCK], h[BLOCK], heat[BLOCK];
    long row[BLOCK];
    double from_left = 0.0;
    for (long first = 0; first < n; first += BLOCK) {
        const long count = n - first < BLOCK ? n - first : BLOCK;
        double *restrict soc = c->soc + first, *restrict v1 = c->v1 + first, *restrict v2 = c->v2 + first;
        double *restrict v3 = c->v3 + first, *restrict degc = c->degc + first;
        const double *aside = c->aside + first, *per = c->per_coulomb + first, *growth = c->growth + first;
        for (long i = 0; i < count; i++) {
            const double y = held((degc[i] - COLDEST) * (1.0 / STEP_K), 0.0, ROWS - 1.0);
            const double z = held(soc[i], 0.0, 1.0) * (double)(t->n_knots - 1);
            const long r = (long)y < ROWS - 2 ? (long)y : ROWS - 2;
            const long k = (long)z < t->n_knots - 2 ? (long)z : t->n_knots - 2;
            const double a = z - (double)k, b = y - (double)r;
            const double *low = t->at[r][k], *low1 = t->at[r][k + 1], *high = t->at[r + 1][k], *high1 = t->at[r + 1][k + 1];
            for (int j = 0; j < COLUMNS; j++) {
                const double cold = low[j] + a * (low1[j] - low[j]), warm = high[j] + a * (high1[j] - high[j]);
                w[j][i] = cold + b * (warm - cold);
            }
            m0[i] = t->of_degc[r][0] + b * (t->of_degc[r + 1][0] - t->of_degc[r][0]);
            gamma[i] = t->of_degc[r][1] + b * (t->of_degc[r + 1][1] - t->of_degc[r][1]);
            eta[i] = t->of_degc[r][2] + b * (t->of_degc[r + 1][2] - t->of_degc[r][2]);
            row[i] = r, share[i] = b;
        }
        for (long i = 0; i < count; i++) {
            const double flow = flowed + aside[i], stored = flow < 0.0 ? flow * eta[i] : flow;
            const double left = stored * t->dt_s * per[i], scaled = flow * growth[i];
            v1[i] = w[DECAY1][i] * v1[i] + w[GAIN1][i] * scaled;
            v2[i] = w[DECAY2][i] * v2[i] + w[GAIN2][i] * scaled;
            v3[i] = w[DECAY3][i] * v3[i] + w[GAIN3][i] * scaled;
            soc[i] = held(soc[i] - left, -0.1, 1.1);
            moved[i] = -left * gamma[i];
            h[i] = 0.0;
        }
        for (int k = 0; k < STOPS; k++) {
            double *restrict stop = c->stop[k] + first;
            const double rate = t->rate[k], weight = t->weight[k];
            for (long i = 0; i < count; i++) {
                stop[i] = held(stop[i] + moved[i] * rate, -1.0, 1.0);
                h[i] += weight * stop[i];
            }
        }
        for (long i = 0; i < count; i++) {
            const double place = soc[i] * (double)(t->n_points - 1), b = share[i];
            const long p = (long)held((double)(long)place, 0.0, (double)(t->n_points - 2));
            const double *cold = t->ocv[row[i]] + p, *warm = t->ocv[row[i] + 1] + p;
            const double low = cold[0] + b * (warm[0] - cold[0]), high = cold[1] + b * (warm[1] - cold[1]);
            const double flow = now + aside[i], lag = w[M][i] * h[i] - m0[i] * sign;
            const double polarisation = w[R0][i] * growth[i] * flow + v1[i] + v2[i] + v3[i];
            c->slope[first + i] = (high - low) * (double)(t->n_points - 1);
            c->volt[first + i] = low + (place - (double)p) * (high - low) + lag - polarisation;
            heat[i] = flow * (polarisation - lag - (degc[i] + KELVIN) * t->docv_dt[p]);
        }
        for (long i = 0; i < count; i++) {
            const double here = degc[i], right = first + i + 1 < n ? t->between * (here - degc[i + 1]) : 0.0;
            degc[i] = here + t->dt_s / t->heat_j_per_k * (from_left - right - t->coolant * (here - coolant) + heat[i]);
            from_left = right;
        }
    }
}
